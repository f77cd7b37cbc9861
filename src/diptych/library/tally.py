"""How many photos each name was given, and a few of the surest of each: for a summary and a contact sheet."""

import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from diptych.library.paths import Source
from diptych.library.sheet import SheetPhoto

if TYPE_CHECKING:
    from diptych.library.library import PhotoLibrary

_SHOWN: Final = 100  # photos of one name on a sheet


@dataclass(frozen=True, slots=True)
class Named:
    """A name that a photo was given, how surely (0 to 1), and in a video when."""

    name: str | None
    probability: float
    caption: str
    second: float | None = None


class Tally:
    """Photos counted by name, where None is the name of those that were given none."""

    def __init__(self) -> None:
        self.photos = 0
        self.counts: Counter[str | None] = Counter()
        self._surest: dict[str | None, list[tuple[float, int, Source, Named]]] = {}

    def add(self, id: int, source: Source, names: "Iterable[Named]") -> None:
        """Count a photo under each of its names."""
        self.photos += 1
        for each in names:
            self.counts[each.name] += 1
            kept, entry = self._surest.setdefault(each.name, []), (each.probability, -id, source, each)
            if len(kept) < _SHOWN:
                heapq.heappush(kept, entry)
            else:
                heapq.heappushpop(kept, entry)

    def ranked(self) -> list[tuple[str | None, int]]:
        """Names with their counts, most first, None last."""
        return sorted(self.counts.items(), key=lambda item: (item[0] is None, -item[1]))

    def sheet(self, library: "PhotoLibrary", name: str | None) -> Iterable[SheetPhoto]:
        """The surest photos of a name, first those of the highest probability."""
        surest = sorted(self._surest.get(name, ()), reverse=True)
        thumbnails = library.thumbnails((-negative_id, each.second) for _, negative_id, _, each in surest)
        for (_, _, source, each), made in zip(surest, thumbnails, strict=True):
            yield SheetPhoto(source=source, thumbnail=made, caption=each.caption, bar=each.probability)
