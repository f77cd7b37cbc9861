"""Who may come in: those with a key, those who have signed in with one, and nobody who guesses."""

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Final

_IDLE_SECONDS: Final = 12 * 3_600.0
_MOST_SESSIONS: Final = 10_000
_GUESSES, _GUESS_SECONDS = 10, 60.0
Clock = Callable[[], float]


class Access:
    """The keys of one server, and the sessions that they opened. Both are kept as digests, in memory alone."""

    def __init__(self, keys: Sequence[str], *, clock: Clock = time.monotonic) -> None:
        self._digests = [_digest(key.encode()) for key in keys]
        self._clock = clock
        self._sessions: OrderedDict[bytes, float] = OrderedDict()  # until when; that used last is last

    @property
    def is_open(self) -> bool:
        """Whether anybody may come in."""
        return not self._digests

    def is_key(self, given: bytes) -> bool:
        """Whether it is one of the keys, in a time that says nothing of them."""
        digest = _digest(given)
        return sum(hmac.compare_digest(digest, each) for each in self._digests) > 0  # all of them are compared

    def open_session(self) -> str:
        """A token that is as good as a key until it has not been used for 12 hours."""
        token = secrets.token_urlsafe(32)
        self._sessions[_digest(token.encode())] = self._clock() + _IDLE_SECONDS
        while len(self._sessions) > _MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return token

    def has_session(self, token: str) -> bool:
        """Whether the token is good, which this use prolongs."""
        digest, now = _digest(token.encode(errors="replace")), self._clock()
        if self._sessions.get(digest, 0.0) <= now:
            self._sessions.pop(digest, None)
            return False
        self._sessions[digest] = now + _IDLE_SECONDS
        self._sessions.move_to_end(digest)
        return True

    def close_session(self, token: str) -> None:
        """Have the token good for nothing."""
        self._sessions.pop(_digest(token.encode(errors="replace")), None)


class Guesses:
    """How many wrong keys each client has given in the last minute."""

    def __init__(self, *, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._times: dict[str, deque[float]] = {}

    def seconds_to_wait(self, client: str) -> float:
        """Until the client may try again; 0 where it may now."""
        self._forget()
        times = self._times.get(client)
        return times[0] + _GUESS_SECONDS - self._clock() if times and len(times) >= _GUESSES else 0.0

    def note(self, client: str) -> None:
        """Count a wrong key."""
        self._times.setdefault(client, deque(maxlen=_GUESSES)).append(self._clock())

    def _forget(self) -> None:
        since = self._clock() - _GUESS_SECONDS
        for client, times in list(self._times.items()):
            while times and times[0] <= since:
                times.popleft()
            if not times:
                del self._times[client]


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()
