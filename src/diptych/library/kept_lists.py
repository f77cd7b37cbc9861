"""Lists that take a look at every photo, kept for as long as the database is as it was."""

import sqlite3
from collections.abc import Callable

MakeList = Callable[[sqlite3.Connection], list[str]]


class KeptLists:
    """What functions list of one connection's database; each is made again once anybody has written to it."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._made: dict[MakeList, tuple[tuple[int, int], list[str]]] = {}

    def get(self, make: MakeList) -> list[str]:
        """The list, as it is now."""
        # The first changes with what others commit, the second with what this connection does.
        state = self._database.execute("PRAGMA data_version").fetchone()[0], self._database.total_changes
        if make not in self._made or self._made[make][0] != state:
            self._made[make] = state, make(self._database)
        return list(self._made[make][1])
