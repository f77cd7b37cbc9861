"""What both ways of fetching share: reading URLs, bodies, and the errors of both."""

import http.client
import ipaddress
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from diptych import __version__

# Bytes as they are: a compressed body has another length, cannot be resumed, and may be a bomb.
HEADERS = {"User-Agent": f"diptych/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"}
_BLOCK_BYTES = 1 << 18


class Fault(Exception):  # noqa: N818 (never seen outside: it becomes a FetchError)
    """What went wrong and what to do, without the URL, which whoever catches it puts in front."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A checked URL: `host` is ASCII and without brackets, `path` is percent-encoded and has the query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def host_header(self) -> str:
        """The host as it stands in a URL and in the Host header, with its port unless that is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == {"http": 80, "https": 443}[self.scheme] else f"{host}:{self.port}"


def parse_url(url: str) -> Target:
    """Take an http(s) URL apart; anything else, or one with credentials, is a Fault."""
    if re.search(r"[\x00-\x20\x7f\\]", url):
        raise Fault("a URL has no spaces, backslashes or control characters; write them as %20 and so on.")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        ascii_host = str(ipaddress.IPv6Address(host)) if ":" in host else host.encode("idna").decode("ascii").lower()
    except ValueError as error:  # UnicodeError is one
        raise Fault(f"not a valid URL ({error}); check it.") from error
    if parts.scheme not in {"http", "https"}:
        raise Fault("only http:// and https:// addresses are fetched; download the file and give that instead.")
    if "@" in parts.netloc:
        raise Fault("URLs with a user name or password are not fetched; download the file and give that instead.")
    if not re.fullmatch(r"[a-z0-9._:-]+", ascii_host):
        raise Fault("not a valid URL (it names no host); check it.")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(
        scheme=parts.scheme,
        host=ascii_host,
        port=port or (443 if parts.scheme == "https" else 80),
        path=quote(path, safe="/%:@!$&'()*+,;=~?[]|"),
    )


def shown(url: str) -> str:
    """The URL for messages: without query (it may hold keys), credentials, and what could disturb a terminal."""
    bare = re.sub(r"//[^/]*@", "//", re.split(r"[?#]", url, maxsplit=1)[0])
    return "".join(letter if letter.isprintable() else "?" for letter in bare)[:300]


def check_redirect(url: str, target: str) -> None:
    """Refuse to go from https to anything less."""
    if url.lower().startswith("https:") and not target.lower().startswith("https:"):
        raise Fault("redirects away from https; give the address of the file itself.")


def check_encoding(response: http.client.HTTPResponse) -> None:
    """Refuse a body that is compressed though we asked for it as it is."""
    if (encoding := response.getheader("Content-Encoding", "identity").lower()) != "identity":
        raise Fault(f"the server sends it compressed ({encoding[:20]}), unasked; download the file by other means.")


def blocks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """The body as it arrives; IncompleteRead if it ends before its stated length, which http.client lets pass."""
    length, done = response.length, 0
    while length is None or done < length:
        block = response.read1(_BLOCK_BYTES if length is None else min(_BLOCK_BYTES, length - done))
        if not block and length is not None:
            raise http.client.IncompleteRead(b"", length - done)
        if not block:
            return
        done += len(block)
        yield block


def bad_certificate(error: ssl.SSLCertVerificationError) -> Fault:
    """The Fault for a server whose certificate does not convince."""
    return Fault(f"the server's certificate is not valid ({error.verify_message}); check the address or SSL_CERT_FILE.")


def reason(error: object) -> str:
    """A network error in a few words."""
    if isinstance(error, http.client.IncompleteRead):
        return "it ended early"
    if isinstance(error, http.client.BadStatusLine) and not isinstance(error, http.client.RemoteDisconnected):
        return "its answer is not HTTP"  # whose text would be what another service says of itself
    if isinstance(error, TimeoutError):
        return "no answer in time"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return (text.strip() or type(error).__name__).splitlines()[0][:100]
