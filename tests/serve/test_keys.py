"""Keys: where they come from, what they open, and the session that one opens on the page."""

import asyncio
import hmac
import re
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.routing import BaseRoute, Mount

from diptych import DualEncoder
from diptych.errors import DiptychError
from diptych.serve.access import Access, Guesses
from diptych.serve.app import build_app, guard
from diptych.serve.config import ServeConfig
from diptych.serve.engine import Engine
from diptych.serve.key_sources import read_keys
from diptych.serve.metrics import Metrics
from diptych.serve.state import Server
from serve_command import ServeCommand

FIRST, SECOND = "first-key-0123456789", "second-key-0123456789"
NAVIGATION = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeCommand]:
    """A server with two keys."""
    file = write_keys(tmp_path_factory.mktemp("keys"), f"# the team's\n{FIRST}  # ann\n")
    with ServeCommand("--api-key", file, "--api-key", "env:MORE_KEYS", env={"MORE_KEYS": SECOND}) as server:
        yield server


@pytest.fixture
def browser(locked: ServeCommand) -> Iterator[httpx.Client]:
    """One that keeps cookies and has none yet."""
    with httpx.Client(base_url=locked.url, timeout=60, trust_env=False) as client:
        yield client


def write_keys(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "keys.txt"
    path.write_text(text, "utf-8")
    path.chmod(mode)
    return path


def test_keys_are_read_from_files_and_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_keys(tmp_path, f"# ours\n\n  {FIRST}\t# ann\r\nhash#within-a-key-0123\n")
    monkeypatch.setenv("KEYS", f"{SECOND},\n{FIRST}")
    assert read_keys([str(file), "env:KEYS"]) == (FIRST, "hash#within-a-key-0123", SECOND)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no key"),
        ("# none\n\n", "holds no key"),
        (f"{FIRST}\nshort-secret\n", "2: a key of 12 characters, and 16 are the least"),
        ("two words are no key at all\n", "without spaces"),
        ("schlüssel-schlüssel-schlüssel\n", "letters, digits and signs"),
    ],
)
def test_a_file_without_good_keys_is_refused_and_no_key_repeated(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DiptychError, match=said) as caught:
        read_keys([str(write_keys(tmp_path, text))])
    assert not any(key in str(caught.value) for key in (FIRST, "short-secret", "two words", "schlüssel-"))


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00" * 9)
    (tmp_path / "binary").chmod(0o600)
    for source, said in ((tmp_path / "binary", "no UTF-8"), (tmp_path, "is a directory")):
        source.chmod(0o700)
        with pytest.raises(DiptychError, match=said):
            read_keys([str(source)])


def test_a_variable_that_is_not_set_is_refused() -> None:
    with pytest.raises(DiptychError, match="The variable NO_SUCH_KEYS holds no key"):
        read_keys(["env:NO_SUCH_KEYS"])


def test_a_key_on_the_command_line_is_refused_with_the_reason_and_not_repeated() -> None:
    with pytest.raises(DiptychError, match="every process of this machine can read it") as caught:
        read_keys([FIRST])
    assert FIRST not in str(caught.value)


def test_a_file_that_all_users_can_read_is_warned_about(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="chmod 600"):
        assert read_keys([str(write_keys(tmp_path, FIRST, mode=0o644))]) == (FIRST,)


def test_a_configuration_does_not_show_its_keys() -> None:
    assert FIRST not in repr(ServeConfig(api_keys=(FIRST,)))


def test_beyond_this_machine_keys_or_no_auth_are_needed() -> None:
    with pytest.raises(ValueError, match="--api-key"):
        ServeConfig(host="0.0.0.0")
    with pytest.raises(ValueError, match="not both"):
        ServeConfig(host="0.0.0.0", api_keys=(FIRST,), no_auth=True)
    assert ServeConfig(host="0.0.0.0", no_auth=True).host == ServeConfig(host="0.0.0.0", api_keys=(FIRST,)).host


@pytest.mark.parametrize(
    "path", ["/metrics", "/readyz", "/openapi.json", "/v1/jobs", "/v1/models", "/v1/photos/1/original", "/nothing"]
)
def test_everything_asks_for_a_key(browser: httpx.Client, path: str) -> None:
    response = browser.get(path)
    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
    assert response.json()["type"] == "urn:diptych:problem:not-signed-in"


def test_openapi_says_how_a_key_is_shown(browser: httpx.Client, client: httpx.Client) -> None:
    described = browser.get("/openapi.json", headers={"X-API-Key": FIRST}).json()
    assert described["security"] == [{"bearer": []}, {"key": []}]
    assert described["components"]["securitySchemes"]["key"]["name"] == "X-API-Key"
    assert described["paths"]["/healthz"]["get"]["security"] == []
    free = client.get("/openapi.json").json()
    assert "security" not in free
    error = free["paths"]["/v1/models"]["get"]["responses"]["default"]["content"]["application/problem+json"]
    assert free["components"]["schemas"][error["schema"]["$ref"].rpartition("/")[2]]["title"] == "Problem"


@pytest.mark.parametrize(
    "path", ["/healthz/", "//healthz", "/healthz/../metrics", "/web/../metrics", "/login/x", "/%6dodels"]
)
def test_no_other_spelling_of_a_free_path_is_free(locked: ServeCommand, path: str) -> None:
    with httpx.Client(timeout=60, trust_env=False) as client:
        request = httpx.Request("GET", locked.url, extensions={"target": path.encode()})
        assert client.send(request).status_code in (401, 404)


FREE = {"/healthz", "/login", "/logout", "/web"}


def one_by_one(routes: Iterable[BaseRoute]) -> Iterator[Any]:
    """All routes: FastAPI keeps those of a router folded together."""
    for route in routes:
        folded = getattr(route, "original_router", None)
        if folded is None:
            yield route
        else:
            yield from one_by_one(folded.routes)


def test_every_route_is_behind_the_key_but_those_named_here(encoder: DualEncoder) -> None:
    config = ServeConfig(api_keys=(FIRST,))
    metrics = Metrics()
    engine = Engine(encoder, config.limits, metrics)
    server = Server(config=config, engine=engine, metrics=metrics, model_id="small", model_name="small")
    app = build_app(server)
    asked = [
        (route.path, method, f"{route.path}/1" if isinstance(route, Mount) else re.sub("{.*?}", "1", route.path))
        for route in one_by_one(app.routes)
        for method in sorted(getattr(route, "methods", {"GET"}))
    ]
    assert len(asked) > 30

    async def find_free() -> set[str]:
        transport = httpx.ASGITransport(guard(app, server))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            answers = [(path, await client.request(method, address)) for path, method, address in asked]
        assert [answer.headers["location"] for path, answer in answers if path == "/"] == ["login"]
        return {path for path, answer in answers if "www-authenticate" not in answer.headers} - {"/"}

    assert asyncio.run(find_free()) == FREE


def test_the_docs_name_what_is_free_of_keys() -> None:
    docs = (Path(__file__).parents[2] / "docs" / "serving.md").read_text("utf-8")
    said = re.search(r"Everything is behind the key(.*?)\.\s", docs, re.DOTALL)
    assert said
    assert {path for path in re.findall(r"`(/\w+)/?`", said[1]) if path != "/metrics"} == FREE


def test_the_sign_of_life_and_the_way_in_are_free(browser: httpx.Client) -> None:
    assert browser.get("/healthz").json() == {"status": "alive"}
    login = browser.get("/login")
    assert (login.status_code, 'name="key"' in login.text) == (200, True)
    assert browser.get("/web/style.css").status_code == 200


@pytest.mark.parametrize("key", [FIRST, SECOND])
def test_programs_show_a_key_in_either_header(browser: httpx.Client, key: str) -> None:
    assert browser.get("/v1/models", headers={"Authorization": f"Bearer {key}"}).status_code == 200
    assert browser.get("/v1/models", headers={"X-API-Key": key}).status_code == 200


@pytest.mark.parametrize("key", ["wrong", FIRST[:-1], FIRST + "x", FIRST.upper(), "\xff" * 20])
def test_other_keys_open_nothing(browser: httpx.Client, key: str) -> None:
    for name, value in (("Authorization", f"Bearer {key}"), ("X-API-Key", key)):
        assert browser.get("/v1/models", headers=[(name.encode(), value.encode("latin-1"))]).status_code == 401
    assert browser.get("/v1/models", headers={"X-API-Key": ""}).status_code == 401
    assert browser.get("/v1/models", headers={"Authorization": f"Basic {FIRST}"}).status_code == 401
    assert browser.get("/v1/models", params={"key": FIRST}).status_code == 401


KEYS = (FIRST, SECOND, "third-key-0123456789")


@pytest.mark.parametrize("given", [*KEYS, "wrong", "", FIRST[:-1]])
def test_a_key_is_compared_with_all_keys_in_constant_time(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    compare = hmac.compare_digest

    def watch(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return compare(one, other)

    access = Access(KEYS)
    monkeypatch.setattr(hmac, "compare_digest", watch)
    assert access.is_key(given.encode()) == (given in KEYS)
    # Digests, since the comparison of a short text with a long one ends at once.
    assert compared == [(sha256(given.encode()).digest(), sha256(key.encode()).digest()) for key in KEYS]


def test_nobodys_body_is_read_without_a_key(browser: httpx.Client) -> None:
    assert browser.post("/v1/embeddings", content=b"x" * 40_000_000).status_code == 401


def test_people_are_sent_to_the_login_page_by_a_relative_address(browser: httpx.Client) -> None:
    response = browser.get("/", headers=NAVIGATION)
    assert (response.status_code, response.headers["location"]) == (303, "login")


def test_signing_in_opens_a_session_until_signing_out(browser: httpx.Client) -> None:
    signed_in = browser.post("/login", data={"key": SECOND})
    assert (signed_in.status_code, signed_in.headers["location"]) == (303, "./")
    cookie = signed_in.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert "Secure" not in cookie
    assert SECOND not in cookie
    assert len(browser.cookies["diptych_session"]) >= 43  # 256 bits
    assert browser.get("/v1/models").status_code == browser.get("/").status_code == 200
    token = browser.cookies["diptych_session"]
    assert browser.post("/logout").headers["location"] == "login"
    assert "diptych_session" not in browser.cookies
    browser.cookies.set("diptych_session", token)
    assert browser.get("/v1/models").status_code == 401


def test_whoever_comes_with_a_session_that_is_over_is_told_so(browser: httpx.Client) -> None:
    assert "signed out" not in browser.get("/login").text
    browser.cookies.set("diptych_session", "a-session-before-the-restart")
    page = browser.get("/", follow_redirects=True)
    assert (page.url.path, page.status_code) == ("/login", 200)
    assert "You were signed out" in page.text


def test_the_cookie_is_for_https_where_the_proxy_says_so(browser: httpx.Client) -> None:
    signed_in = browser.post("/login", data={"key": FIRST}, headers={"X-Forwarded-Proto": "https"})
    assert "Secure" in signed_in.headers["set-cookie"]


def test_a_session_is_of_no_use_to_a_page_of_another_site(browser: httpx.Client) -> None:
    browser.post("/login", data={"key": FIRST})
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Host": "evil.example"}):
        assert browser.get("/v1/models", headers=headers).status_code == 403
    assert browser.post("/logout", headers={"Origin": "https://evil.example"}).status_code == 403


def test_a_link_that_comes_without_the_cookie_finds_the_page_but_no_answers(browser: httpx.Client) -> None:
    link = {**NAVIGATION, "Sec-Fetch-Site": "cross-site"}
    assert browser.get("/", headers=link).status_code == 200
    assert browser.get("/v1/server").status_code == 401


def test_a_wrong_key_is_answered_late_on_the_page_itself(browser: httpx.Client) -> None:
    since = time.perf_counter()
    refused = browser.post(
        "/login", data={"key": "<b>wrong</b>"}, headers=NAVIGATION | {"X-Forwarded-For": "192.0.2.1"}
    )
    assert time.perf_counter() - since >= 1
    assert (refused.status_code, 'role="alert"' in refused.text, "wrong</b>" in refused.text) == (401, True, False)
    assert not browser.cookies


def test_wrong_keys_are_limited_for_each_client(locked: ServeCommand) -> None:
    def guess(address: str) -> httpx.Response:
        headers = {"X-Forwarded-For": address}
        return httpx.post(f"{locked.url}/login", data={"key": "wrong"}, headers=headers, timeout=60, trust_env=False)

    since = time.monotonic()
    with ThreadPoolExecutor(10) as pool:
        assert {response.status_code for response in pool.map(guess, ["192.0.2.2"] * 10)} == {401}
    refused = guess("192.0.2.2")
    assert refused.status_code == 429
    assert 59 - (time.monotonic() - since) < int(refused.headers["retry-after"]) <= 60
    assert guess("192.0.2.3").status_code == 401


def test_an_unlocked_server_has_no_login(client: httpx.Client) -> None:
    response = client.get("/login")
    assert (response.status_code, response.headers["location"]) == (303, "./")


def test_a_session_ends_when_it_was_not_used_for_twelve_hours() -> None:
    hours = iter((0, 11, 22, 35))
    access = Access([FIRST], clock=lambda: 3_600.0 * next(hours))
    token = access.open_session()
    assert [access.has_session(token) for _ in range(3)] == [True, True, False]


def test_the_least_used_of_very_many_sessions_end() -> None:
    access = Access([FIRST])
    tokens = [access.open_session() for _ in range(10_001)]
    assert [access.has_session(token) for token in (tokens[0], tokens[1], tokens[-1])] == [False, True, True]


def test_guesses_are_forgotten_after_a_minute() -> None:
    now = [0.0]
    guesses = Guesses(clock=lambda: now[0])
    for second in range(10):
        now[0] = second
        assert guesses.seconds_to_wait("here") == 0
        guesses.note("here")
    assert guesses.seconds_to_wait("here") == 51
    assert guesses.seconds_to_wait("elsewhere") == 0
    now[0] = 60.5
    assert guesses.seconds_to_wait("here") == 0
