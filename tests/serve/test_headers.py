"""What browsers are told, with every answer."""

import httpx
import pytest

POLICY = {
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' blob: data:",
    "connect-src 'self'",
    "form-action 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
}


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {}, 200),
        ("/web/app.js", {}, 200),
        ("/v1/models", {}, 200),
        ("/metrics", {}, 200),
        ("/login", {}, 303),
        ("/v1/models", {"Host": "evil.example"}, 403),
        ("/nothing", {}, 404),
        ("/v1/embeddings", {}, 405),
    ],
)
def test_every_answer_keeps_browsers_strict(
    client: httpx.Client, path: str, headers: dict[str, str], status: int
) -> None:
    response = client.get(path, headers=headers)
    assert response.status_code == status
    assert set(response.headers["content-security-policy"].split("; ")) == POLICY
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "same-origin"
    assert response.headers["cross-origin-opener-policy"] == "same-origin"
    assert response.headers["cross-origin-resource-policy"] == "same-origin"
    assert "camera=()" in response.headers["permissions-policy"]
    assert "strict-transport-security" not in response.headers  # the proxy's to say
    assert "server" not in response.headers


def test_answers_are_kept_nowhere_and_the_page_is_asked_for_again(client: httpx.Client) -> None:
    assert client.get("/v1/models").headers["cache-control"] == "no-store"
    assert client.get("/nothing").headers["cache-control"] == "no-store"
    page = client.get("/web/style.css")
    assert page.headers["cache-control"] == "no-cache"
    assert client.get("/web/style.css", headers={"If-None-Match": page.headers["etag"]}).status_code == 304


def test_the_page_asks_nothing_of_other_sites(client: httpx.Client) -> None:
    for path in ("/", "/web/login.html"):
        text = client.get(path).text
        assert "//" not in text.replace("<!--", "").replace("-->", ""), path
        assert "<script>" not in text
        assert "style=" not in text


@pytest.mark.parametrize("path", ["/healthz", "/v1/models", "/", "/web/app.js"])
def test_head_is_get_without_its_body(client: httpx.Client, path: str) -> None:
    whole, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == whole.headers["content-length"] == str(len(whole.content))
    assert client.get(path).content == whole.content  # over the same connection
