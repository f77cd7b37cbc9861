"""What befalls a page's requests on their way: they are held, or answered otherwise, for a while.

A route stays once it is there: one that is taken away while a request sets out can lose that request.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, Route

_PATIENCE_SECONDS = 60  # on a busy machine


@contextmanager
def held(page: Page, pattern: str, *, after: int = 0) -> Iterator[list[Route]]:
    """Requests that wait until the block ends, and those held so far; the first `after` go on, as later ones do."""
    routes: list[Route] = []
    holding, passed = True, 0

    def hold(route: Route) -> None:
        nonlocal passed
        if holding and passed >= after:
            routes.append(route)
        else:
            passed += 1
            route.continue_()

    page.route(pattern, hold)
    yield routes
    holding = False
    for route in routes:
        route.continue_()


@contextmanager
def met(page: Page, pattern: str, answer: Callable[[Route], None] = lambda route: route.abort()) -> Iterator[None]:
    """Requests are given this answer, or cut, until the block ends; later ones go on."""
    is_over = False
    page.route(pattern, lambda route: route.continue_() if is_over else answer(route))
    yield
    is_over = True


def wait_until(page: Page, is_so: Callable[[], bool]) -> None:
    """Wait for what no locator can expect, while the page's events go on to be heard.

    `Page.wait_for_function` asks a second time by `eval`, which the page's own policy forbids.
    """
    until = time.monotonic() + _PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < until
        page.wait_for_timeout(20)
