"""Pairs to webdataset tar shards, in the layout that img2dataset writes: KEY.jpg, KEY.txt, KEY.json."""

import io
import json
import tarfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from diptych.data.sample import Texts

# What an encoded image begins with, from which byte on.
_SIGNATURES = (
    (0, b"\xff\xd8\xff", "jpg"),
    (0, b"\x89PNG", "png"),
    (8, b"WEBP", "webp"),
    (0, b"GIF8", "gif"),
    (0, b"BM", "bmp"),
    (0, b"II*\0", "tif"),
    (0, b"MM\0*", "tif"),
    (4, b"ftypavi", "avif"),
    (4, b"ftyp", "heic"),
)


class ShardWriter:
    """Writes 00000.tar, 00001.tar ... of `shard_size` pairs each into a folder that exists; use it in a `with`.

    The bytes of a shard depend on its pairs alone: no time, no owner.
    """

    def __init__(self, folder: Path, shard_size: int) -> None:
        if shard_size < 1:
            raise ValueError(f"shard_size must be 1 or more, got {shard_size}")
        self._folder, self._shard_size = folder, shard_size
        self._digits = max(4, len(str(shard_size - 1)))  # img2dataset's keys: five digits of shard, four of place
        self._tar: tarfile.TarFile | None = None
        self._count = 0

    @property
    def shards(self) -> int:
        """How many have been begun."""
        return -(-self._count // self._shard_size)

    def write(self, image: bytes, texts: Texts, facts: dict[str, Any]) -> str:
        """Add a pair, its image as it is, and return its key. The json holds `facts` and all texts.

        The txt is for readers of one caption an image, and holds the first; a pair that only has a class has none.
        """
        shard, place = divmod(self._count, self._shard_size)
        if place == 0:
            self._start(shard)
        key = f"{shard:05d}{place:0{self._digits}d}"
        every = {"key": key, **facts, "captions": texts.captions, "class_names": texts.class_names}
        self._add(f"{key}.{image_suffix(image)}", image)
        if texts.captions:
            self._add(f"{key}.txt", texts.captions[0].encode(errors="replace"))
        self._add(f"{key}.json", json.dumps(every, ensure_ascii=True).encode())
        self._count += 1
        return key

    def _start(self, shard: int) -> None:
        if self._tar is not None:
            self._tar.close()
        self._tar = tarfile.open(self._folder / f"{shard:05d}.tar", "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115

    def _add(self, name: str, content: bytes) -> None:
        assert self._tar is not None
        member = tarfile.TarInfo(name)
        member.size = len(content)
        self._tar.addfile(member, io.BytesIO(content))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._tar is not None:
            self._tar.close()


def image_suffix(image: bytes) -> str:
    """What a file of these bytes is called; "jpg" for a format that is not known here, since readers go by content."""
    for start, signature, suffix in _SIGNATURES:
        if image.startswith(signature, start):
            return suffix
    return "jpg"
