"""No page of another site reaches the server through a browser, by whatever way."""

import socket
from typing import Any

import httpx
import pytest

import raw_http
from serve_command import ServeCommand, StartServer

EVIL = "https://evil.example"


def is_refused(response: httpx.Response) -> bool:
    body: dict[str, Any] = response.json()
    return (response.status_code, body["type"]) == (403, "urn:diptych:problem:other-site")


def embed(client: httpx.Client, headers: dict[str, str]) -> httpx.Response:
    """A request that a page can send to any site without being asked: a form's."""
    return client.post(
        "/v1/embeddings", content=b'{"input": "a dog"}', headers={"Content-Type": "text/plain", **headers}
    )


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "localhost.evil.example", "127.0.0.1.evil.example", "192.168.1.7", "[::2]"],
)
def test_a_name_that_is_not_the_servers_is_refused_so_rebinding_it_is_of_no_use(
    client: httpx.Client, host: str
) -> None:
    assert is_refused(client.get("/v1/models", headers={"Host": host.format(port=client.base_url.port)}))


@pytest.mark.parametrize("host", ["", "a b", "user@localhost", "localhost/", "localhost:x", "[::1"])
def test_a_host_header_that_names_no_host_is_refused(served: ServeCommand, host: str) -> None:
    answer = raw_http.exchange(
        served.url, raw_http.head("GET", "/v1/models", served.url, Host=host, Connection="close")
    )
    assert raw_http.status_of(answer) in (400, 403)


@pytest.mark.parametrize("lines", [b"", b"Host: localhost\r\nHost: evil.example\r\n"])
def test_none_or_two_host_headers_are_refused(served: ServeCommand, lines: bytes) -> None:
    answer = raw_http.exchange(served.url, b"GET /v1/models HTTP/1.1\r\n" + lines + b"Connection: close\r\n\r\n")
    assert raw_http.status_of(answer) == 403


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.:{port}", "127.0.0.1:{port}", "[::1]:{port}", "127.0.0.1"])
def test_the_servers_own_names_are_answered(client: httpx.Client, host: str) -> None:
    assert client.get("/v1/models", headers={"Host": host.format(port=client.base_url.port)}).status_code == 200


def test_the_machines_own_name_is_answered(client: httpx.Client) -> None:
    assert client.get("/v1/models", headers={"Host": socket.gethostname()}).status_code == 200


@pytest.mark.parametrize(
    "origin", [EVIL, "null", "http://localhost:1", "http://localhost.evil.example", "localhost", ""]
)
def test_a_form_of_another_site_is_refused(client: httpx.Client, origin: str) -> None:
    assert is_refused(embed(client, {"Origin": origin, "Host": f"localhost:{client.base_url.port}"}))


def test_the_servers_own_page_may_ask(client: httpx.Client) -> None:
    own = {"Origin": str(client.base_url).rstrip("/"), "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}
    assert client.post("/v1/embeddings", json={"input": "a dog"}, headers=own).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("path", ["/v1/photos/1/thumbnail", "/v1/models", "/metrics", "/readyz", "/web/app.js"])
def test_a_picture_or_script_tag_of_another_site_is_refused(client: httpx.Client, site: str, path: str) -> None:
    tag = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    assert is_refused(client.get(path, headers=tag))


def test_a_link_of_another_site_leads_to_the_page_and_nowhere_else(client: httpx.Client) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert client.get("/", headers=link).status_code == 200
    assert is_refused(client.get("/v1/models", headers=link))
    assert is_refused(client.get("/", headers={**link, "Sec-Fetch-Dest": "iframe"}))
    assert is_refused(client.post("/", headers=link))


def test_no_page_elsewhere_may_read_an_answer_by_default(client: httpx.Client) -> None:
    asked = {"Origin": EVIL, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    for response in (client.options("/v1/embeddings", headers=asked), embed(client, {"Origin": EVIL})):
        assert is_refused(response)
        assert not [name for name in response.headers if name.startswith("access-control")]


def test_listed_sites_and_names_may(start_server: StartServer) -> None:
    server = start_server("--allow-origin", "https://photos.example", "--allow-host", "clip.example")
    listed = {"Origin": "https://photos.example", "Sec-Fetch-Site": "cross-site", "Host": "clip.example"}
    with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:
        asked = {**listed, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        preflight = client.options("/v1/embeddings", headers=asked)
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-origin"] == "https://photos.example"
        assert "authorization" in preflight.headers["access-control-allow-headers"]
        answer = client.post("/v1/embeddings", json={"input": "a dog"}, headers=listed)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "https://photos.example")
        assert (answer.headers["vary"], answer.headers.get("access-control-allow-credentials")) == ("Origin", None)
        assert is_refused(embed(client, {**listed, "Origin": "https://photos.example.evil.example"}))
        assert is_refused(embed(client, {**listed, "Host": "evil.example"}))


def test_behind_https_a_page_is_told_by_its_name_with_or_without_the_port(start_server: StartServer) -> None:
    server = start_server("--allow-host", "clip.example")
    with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:
        for host in ("clip.example", "clip.example:443"):
            own = {"Origin": "https://clip.example", "Host": host}
            assert client.post("/v1/embeddings", json={"input": "a dog"}, headers=own).status_code == 200
        assert is_refused(embed(client, {"Origin": "https://clip.example:8443", "Host": "clip.example"}))


def test_at_all_addresses_every_address_is_its_own_and_no_other_name(start_server: StartServer) -> None:
    server = start_server("--host", "0.0.0.0", "--no-auth")
    url = server.url.replace("0.0.0.0", "127.0.0.1")
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        assert client.get("/v1/models", headers={"Host": "192.168.1.7:8000"}).status_code == 200
        assert is_refused(client.get("/v1/models", headers={"Host": "evil.example"}))
