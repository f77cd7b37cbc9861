"""What comes over a connection and never becomes a request: how it is answered, and how it stands in the log."""

from typing import Any, Final

from diptych.serve.problems import Problem

SCOPE: Final[dict[str, Any]] = {
    **{"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "none", "headers": []},
    **{"path": "", "raw_path": b"", "query_string": b"", "root_path": ""},
}
"""A request without anything in it."""


def large_head(most: int) -> Problem:
    """The problem of an address and headers of more bytes than are taken."""
    detail = f"The address and the headers may have {most:,} bytes together: send what is long in a body."
    return Problem(431, "too-large", "The headers are too large", detail)


def slow_head(seconds: float) -> Problem:
    """The problem of an address and headers that do not end in time."""
    detail = f"They did not end within {seconds:g} s: send the whole of a request at once."
    return Problem(408, "too-slow", "The headers are too slow", detail)


def no_http(error: BaseException) -> Problem:
    """The problem of what the parser does not take, with its own word for it, which repeats nothing that was sent."""
    reason = "the address is none" if error.__context__ else str(error).lower()
    detail = (
        f"This cannot be read as HTTP/1.1 ({reason}): ask by http, for TLS is a proxy's to bring, with a "
        "method of HTTP in capitals, and with an address whose spaces and characters beyond ASCII are percent-encoded."
    )
    return Problem(400, "no-http", "This is no HTTP request", detail)
