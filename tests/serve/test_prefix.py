"""Behind a proxy that puts the server under a path: with or without the path in what it passes on."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from reverse_proxy import proxied
from serve_command import ServeCommand, StartServer

KEY = "a-key-for-the-proxy"


@pytest.fixture(scope="module")
def under_a_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeCommand]:
    keys: Path = tmp_path_factory.mktemp("keys") / "keys.txt"
    keys.write_text(KEY)
    keys.chmod(0o600)
    with ServeCommand("--root-path", "/tools/clip/", "--api-key", keys) as server:
        yield server


@pytest.fixture(params=[True, False], ids=["stripped", "kept"])
def browser(request: pytest.FixtureRequest, under_a_path: ServeCommand) -> Iterator[httpx.Client]:
    """One that sees the proxy alone."""
    url = under_a_path.url.removesuffix("/tools/clip")
    with (
        proxied(url, "/tools/clip", strips=request.param) as address,
        httpx.Client(base_url=address, follow_redirects=True, timeout=60, trust_env=False) as client,
    ):
        yield client


def test_the_ready_line_names_the_path(under_a_path: ServeCommand) -> None:
    assert under_a_path.url.endswith("/tools/clip")


def test_signing_in_and_out_stays_under_the_path(browser: httpx.Client) -> None:
    login = browser.get("/tools/clip/", headers={"Accept": "text/html"})
    assert (login.url.path, 'name="key"' in login.text) == ("/tools/clip/login", True)
    page = browser.post(str(login.url), data={"key": KEY}, headers={"Origin": str(browser.base_url).rstrip("/")})
    assert (page.url.path, page.status_code) == ("/tools/clip/", 200)
    assert "Path=/tools/clip;" in page.history[0].headers["set-cookie"] + ";"
    assert browser.get("/tools/clip/v1/models").status_code == 200
    assert browser.post("/tools/clip/logout").url.path == "/tools/clip/login"
    assert browser.get("/tools/clip/v1/models").status_code == 401


def test_every_address_on_the_page_is_under_the_path(browser: httpx.Client) -> None:
    browser.headers["X-API-Key"] = KEY
    page = browser.get("/tools/clip/")
    addresses = [each for each in re.findall(r'(?:href|src|action)="([^"#]+)"', page.text) if each != "logout"]
    assert addresses
    for address in addresses:
        assert browser.get(str(page.url.join(address))).status_code == 200, address


def test_programs_find_the_api_under_the_path(browser: httpx.Client) -> None:
    browser.headers["Authorization"] = f"Bearer {KEY}"
    answer = browser.post("/tools/clip/v1/embeddings", json={"input": "a dog"})
    assert answer.json()["data"][0]["object"] == "embedding"
    assert browser.get("/tools/clip/openapi.json").json()["servers"] == [{"url": "/tools/clip"}]
    assert browser.get("/tools/clip/healthz").json() == {"status": "alive"}
    assert browser.get("/tools/clip/v1/nothing").status_code == 404


def test_the_path_without_its_slash_leads_to_the_page(under_a_path: ServeCommand) -> None:
    answer = httpx.get(under_a_path.url, follow_redirects=False, timeout=60, trust_env=False)
    assert (answer.status_code, answer.headers["location"]) == (308, "/tools/clip/")


def test_a_path_that_only_begins_like_it_is_another(under_a_path: ServeCommand) -> None:
    assert httpx.get(f"{under_a_path.url}healthz", timeout=60, trust_env=False).status_code == 401


def test_free_paths_are_free_under_the_path_alone(under_a_path: ServeCommand) -> None:
    url = under_a_path.url
    assert httpx.get(f"{url}/tools/clip/healthz", timeout=60, trust_env=False).status_code == 401
    assert httpx.get(f"{url}/metrics", timeout=60, trust_env=False).status_code == 401


def test_a_proxy_elsewhere_is_believed_only_where_it_is_named(start_server: StartServer) -> None:
    server = start_server("--api-key", "env:KEY", "--trust-proxy", "192.0.2.1", env={"KEY": KEY})
    forwarded = {"X-Forwarded-Proto": "https"}
    signed_in = httpx.post(f"{server.url}/login", data={"key": KEY}, headers=forwarded, timeout=60, trust_env=False)
    assert (signed_in.status_code, "Secure" in signed_in.headers["set-cookie"]) == (303, False)
