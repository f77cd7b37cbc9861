"""Where a server can be opened: what it says when it is ready."""

import re
import socket
from typing import Final

# Addresses for documentation (RFC 5737, RFC 3849). Nothing is sent: the system tells from which of its own it would.
_FAR: Final = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}


def shown_addresses(host: str, port: int, root_path: str) -> str:
    """The addresses to open, with `and` between; of all of the machine's that which others reach, and its name."""
    names = [host]
    if host in ("0.0.0.0", "::", ""):
        own = _own_address(socket.AF_INET6 if ":" in host else socket.AF_INET)
        name = socket.gethostname()
        names = [each for each in (own, name) if each and re.fullmatch(r"[\w.:-]+", each, re.ASCII)] or ["localhost"]
    return " and ".join(f"http://{_bracketed(name)}:{port}{root_path}/" for name in names)


def _own_address(family: socket.AddressFamily) -> str:
    """That by which this machine goes to others, or nothing where it goes to none."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((_FAR[family], 9))
            return str(probe.getsockname()[0])
    except OSError:
        return ""


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
