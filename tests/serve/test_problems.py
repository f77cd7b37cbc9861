"""Errors that FastAPI and Starlette raise are answered in the shape of all others."""

import httpx
import pytest

MULTIPART = "multipart/form-data"


@pytest.mark.parametrize(
    ("kind", "body"),
    [(MULTIPART, b"key=x"), (f"{MULTIPART}; boundary=x", b"--x\r\n\r\n\r\n")],
    ids=["boundary", "name"],
)
def test_a_login_s_form_that_cannot_be_read_is_told_so(client: httpx.Client, kind: str, body: bytes) -> None:
    answer = client.post("/login", content=body, headers={"Content-Type": kind})
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem["type"]) == (422, 422, "urn:diptych:problem:malformed-form")
    assert "url-encoded" in problem["detail"]
    assert problem["message"] == problem["detail"]


def test_what_is_not_there_is_told_so(client: httpx.Client) -> None:
    for path in ("/nothing", "/web/nothing.js", "/v1/photos"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:diptych:problem:not-found")
