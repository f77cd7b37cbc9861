"""The ready line's addresses are such as can be opened."""

import ipaddress
import socket
from urllib.parse import urlsplit

import httpx
import pytest

from diptych.serve.addresses import shown_addresses
from serve_command import StartServer


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000/clip/"),
        ("::1", "http://[::1]:8000/clip/"),
        ("here", "http://here:8000/clip/"),
    ],
)
def test_one_address_is_shown_as_it_is(host: str, shown: str) -> None:
    assert shown_addresses(host, 8000, "/clip") == shown


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_for_all_addresses_those_are_shown_that_others_can_open(host: str) -> None:
    names = [urlsplit(each).hostname or "" for each in shown_addresses(host, 8000, "").split(" and ")]
    assert names
    for name in names:
        if name not in (socket.gethostname().lower(), "localhost"):
            assert not ipaddress.ip_address(name).is_unspecified


def test_what_is_shown_is_answered(start_server: StartServer) -> None:
    server = start_server("--host", "0.0.0.0", "--no-auth")
    assert "0.0.0.0" not in server.url
    assert httpx.get(f"{server.url}/healthz", timeout=60, trust_env=False).status_code == 200
