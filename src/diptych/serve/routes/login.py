"""Signing in on the page: a key for a cookie that scripts cannot read and other sites cannot use."""

import asyncio
from typing import Annotated, Final

from fastapi import APIRouter, Form, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from diptych.serve.guards.keys import COOKIE
from diptych.serve.problems import Problem
from diptych.serve.routes.page import WEB
from diptych.serve.state import Server, Shared

router = APIRouter(include_in_schema=False)
_DELAY_SECONDS: Final = 1.0
_NOTICE_PLACE: Final = "<!-- notice -->"
_SIGNED_OUT: Final = "You were signed out: after 12 hours without a request, or by a restart. Sign in again."


@router.get("/login")
async def login_page(request: Request, server: Shared) -> Response:
    """The page that asks for a key; the server's own where none is needed."""
    if server.access.is_open:
        return RedirectResponse("./", 303)
    token = request.cookies.get(COOKIE)
    is_out = token is not None and not server.access.has_session(token)
    return HTMLResponse(_with_notice(_SIGNED_OUT) if is_out else _login_html())


@router.post("/login")
async def sign_in(request: Request, server: Shared, key: Annotated[str, Form()] = "") -> Response:
    """A session for a key. Wrong ones are answered late, and only so many a minute."""
    if server.access.is_open:
        return RedirectResponse("./", 303)
    client = request.client.host if request.client else ""
    wait = server.guesses.seconds_to_wait(client)
    if wait > 0:  # for the right key too: were it let in, each guess would be judged, and nothing limited
        seconds = int(wait) + 1
        detail = f"Too many wrong keys came from here: try again in {seconds} seconds."
        return _refuse(request, Problem(429, "busy", "Too many tries", detail, headers={"Retry-After": str(seconds)}))
    if not server.access.is_key(key.strip().encode()):
        server.guesses.note(client)
        await asyncio.sleep(_DELAY_SECONDS)
        return _refuse(request, Problem(401, "wrong-key", "Wrong key", "This is none of the server's keys."))
    response = RedirectResponse("./", 303)
    response.set_cookie(
        COOKIE,
        server.access.open_session(),
        path=_cookie_path(server),
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return response


@router.post("/logout")
async def sign_out(request: Request, server: Shared) -> Response:
    """End the session."""
    server.access.close_session(request.cookies.get(COOKIE, ""))
    response = RedirectResponse("login", 303)
    response.delete_cookie(COOKIE, path=_cookie_path(server), httponly=True, samesite="strict")
    return response


def _cookie_path(server: Server) -> str:
    return server.config.root_path or "/"


def _refuse(request: Request, problem: Problem) -> Response:
    """The page with what is wrong, for browsers; the problem itself for programs."""
    if "text/html" not in request.headers.get("accept", ""):
        return problem.response()
    return HTMLResponse(_with_notice(problem.detail), problem.status, problem.headers)


def _with_notice(text: str) -> str:
    return _login_html().replace(_NOTICE_PLACE, f'<p class="notice" role="alert">{text}</p>')


def _login_html() -> str:
    return (WEB / "login.html").read_text("utf-8")
