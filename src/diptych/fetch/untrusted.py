"""`fetch_bytes`: what an address holds that anybody may have given, without being used against our own network."""

import http.client
import ipaddress
import queue
import socket
import ssl
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from urllib.parse import urljoin

from diptych.errors import FetchError
from diptych.fetch.exchange import (
    HEADERS,
    Fault,
    Target,
    bad_certificate,
    blocks,
    check_encoding,
    check_redirect,
    parse_url,
    reason,
    shown,
)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_REDIRECTS = {301, 302, 303, 307, 308}
# IPv6 ranges whose last 32 bits are an IPv4 address: compatible, mapped, translated, NAT64.
_EMBEDDING = [ipaddress.IPv6Network(range_) for range_ in ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96")]
_RELAYS = ipaddress.IPv4Network("192.88.99.0/24")  # retired gateways to IPv6 (RFC 7526), which Python calls global
_IPV6_UNICAST = ipaddress.IPv6Network("2000::/3")


def fetch_bytes(
    url: str,
    *,
    max_bytes: int = 50_000_000,
    timeout_seconds: float = 20.0,
    allow_private: bool = False,
    max_redirects: int = 5,
    accept: Collection[str] = (),
) -> bytes:
    """Return what an untrusted http(s) `url` holds.

    Only public addresses are connected to, after a redirect too: the name is resolved once, every address it
    has is checked, and the connection is made to an address so checked. `timeout_seconds` bounds the whole transfer.
    Proxies, credentials in the URL and compressed bodies are not used. `accept` has the media types that are taken
    ("image/*", or one by name), by default any; a body of another is not read. Raises FetchError, whose text does not
    tell a private name from one that there is not.
    """
    deadline = time.monotonic() + timeout_seconds
    trail = first = shown(url)
    try:
        for _ in range(max_redirects + 1):
            answer = _get(parse_url(url), deadline, max_bytes, accept, allow_private=allow_private)
            if isinstance(answer, bytes):
                return answer
            check_redirect(url, answer)
            url, trail = answer, f"{first} -> {shown(answer)}"
        raise Fault(f"more than {max_redirects} redirects; give the address of the file itself.")
    except Fault as fault:
        raise FetchError(f"{trail}: {fault}") from fault


def is_public(address: Address) -> bool:
    """Whether an address is on the public internet, and so are the IPv4 addresses that it tunnels or translates to."""
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast and address not in _RELAYS
    if any(address in network for network in _EMBEDDING):
        return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    inside = [address.sixtofour] if address.sixtofour else list(address.teredo or [])
    return address.is_global and address in _IPV6_UNICAST and all(is_public(inner) for inner in inside)


def _get(
    target: Target, deadline: float, max_bytes: int, accept: Collection[str], *, allow_private: bool
) -> bytes | str:
    """The body at `target`, or the URL it redirects to."""
    addresses = _resolve(target, deadline)
    if not allow_private and (not addresses or not all(is_public(ipaddress.ip_address(ip)) for _, ip in addresses)):
        # One text for both, and no address: a server that passes it on would tell about its own network.
        raise Fault("its host is not known, or is in a private or reserved network; check the address.")
    if not addresses:
        raise Fault("its host is not known; check the address and the network.")
    try:
        with _connect(addresses, target, deadline) as sock, _cut_off(sock, deadline):
            if isinstance(sock, ssl.SSLSocket):
                sock.do_handshake()
            answer = _exchange(sock, target, max_bytes, accept)
    except ssl.SSLCertVerificationError as error:
        raise bad_certificate(error) from error
    except (OSError, http.client.HTTPException) as error:
        _remaining(deadline)
        raise Fault(f"the connection broke ({reason(error)}); check the address or try again.") from error
    _remaining(deadline)  # a body without a length ends where the connection was cut off
    return answer


def _resolve(target: Target, deadline: float) -> list[tuple[socket.AddressFamily, str]]:
    """The addresses of a host, if it has any, asked for in a thread because the system's resolver has no timeout."""
    answers: queue.SimpleQueue[list[tuple[socket.AddressFamily, str]]] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
            answers.put([(family, str(address[0])) for family, _, _, _, address in found])
        except OSError:
            answers.put([])

    threading.Thread(target=look_up, daemon=True).start()
    try:
        return answers.get(timeout=_remaining(deadline))
    except queue.Empty:
        raise Fault("its host could not be looked up in time; check the network.") from None


def _connect(addresses: list[tuple[socket.AddressFamily, str]], target: Target, deadline: float) -> socket.socket:
    """A socket to the first address that answers; for https one whose handshake is still to be done."""
    problem = OSError("no address answers")
    for index, (family, address) in enumerate(addresses):
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(_remaining(deadline) / (len(addresses) - index))
            sock.connect((address, target.port))
            sock.settimeout(_remaining(deadline))
            return _wrap(sock, target)
        except OSError as error:
            sock.close()
            problem = error
        except BaseException:
            sock.close()
            raise
    raise problem


def _wrap(sock: socket.socket, target: Target) -> socket.socket:
    if target.scheme == "http":
        return sock
    context = ssl.create_default_context()
    return context.wrap_socket(sock, server_hostname=target.host.rstrip("."), do_handshake_on_connect=False)


def _exchange(sock: socket.socket, target: Target, max_bytes: int, accept: Collection[str]) -> bytes | str:
    connection = http.client.HTTPConnection(target.host, target.port)
    connection.sock = sock
    connection.request("GET", target.path, headers={**HEADERS, "Host": target.host_header, "Connection": "close"})
    with connection.getresponse() as response:
        if response.status in _REDIRECTS and (location := response.getheader("Location")):
            try:
                return urljoin(f"{target.scheme}://{target.host_header}{target.path}", location)
            except ValueError as error:
                raise Fault(f"the server redirects to an address that is none ({error}).") from error
        if response.status != 200:
            raise Fault(f"the server answers {response.status} {response.reason[:80]}; check the address.")
        check_encoding(response)
        _check_media_type(response, accept)
        return _read(response, max_bytes)


def _check_media_type(response: http.client.HTTPResponse, accept: Collection[str]) -> None:
    """Refuse a body of another type than one of `accept`; one that says none is of RFC 9110's default."""
    stated = response.getheader("Content-Type") or "application/octet-stream"
    kind = stated.partition(";")[0].strip().lower()
    if accept and not any(fnmatchcase(kind, pattern) for pattern in accept):
        raise Fault(f"the server calls it {shown(kind[:80]) or 'nothing'}, not {' or '.join(accept)}.")


def _read(response: http.client.HTTPResponse, max_bytes: int) -> bytes:
    too_large = Fault(f"larger than the limit of {max_bytes / 1e6:g} MB; download the file and give that instead.")
    if (response.length or 0) > max_bytes:
        raise too_large
    body = bytearray()
    for block in blocks(response):
        body += block
        if len(body) > max_bytes:
            raise too_large
    return bytes(body)


@contextmanager
def _cut_off(sock: socket.socket, deadline: float) -> Iterator[None]:
    """Shut `sock` down at the deadline: a timeout per read does not stop a server that sends a byte now and then."""

    def shut_down() -> None:
        with suppress(OSError):
            # The plain socket's method: SSLSocket's own takes the TLS state away under the reader's feet.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)

    timer = threading.Timer(_remaining(deadline), shut_down)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _remaining(deadline: float) -> float:
    if (seconds := deadline - time.monotonic()) <= 0:
        raise Fault("took too long; try again, or download the file and give that instead.")
    return seconds
