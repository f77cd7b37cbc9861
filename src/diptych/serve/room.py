"""The memory for what requests bring: bodies, and pictures from addresses, together."""

from collections.abc import Iterator
from contextlib import contextmanager

from diptych.serve.metrics import Metrics
from diptych.serve.problems import busy

_RETRY_SECONDS = 2


class Room:
    """At most so many bytes, of all requests together. For the thread of the loop."""

    def __init__(self, most: int, metrics: Metrics) -> None:
        self._most, self._metrics = most, metrics
        self._held = 0

    @contextmanager
    def hold(self) -> Iterator["Hold"]:
        """A share, empty at first, that is given back at the end of the block."""
        share = Hold(self)
        try:
            yield share
        finally:
            share.release()

    def change(self, size: int) -> None:
        """Take or give back bytes. A Problem, 429, where there are no more."""
        if size > 0 and self._held + size > self._most:
            raise busy("The uploads of others take all the room there is for them: try again.", _RETRY_SECONDS)
        self._held += size
        self._metrics.note_held(self._held)


class Hold:
    """What one request holds of a room."""

    def __init__(self, room: Room) -> None:
        self._room, self._size, self._is_released = room, 0, False

    def resize(self, size: int) -> None:
        """Hold so many bytes. A Problem, 429, for more than there are."""
        if not self._is_released and size != self._size:
            self._room.change(size - self._size)
            self._size = size

    def release(self) -> None:
        """Hold none, from now on."""
        self.resize(0)
        self._is_released = True
