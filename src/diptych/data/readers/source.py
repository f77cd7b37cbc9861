"""The one implementation of Source: an index, and where its images are read from."""

from collections.abc import Callable
from pathlib import Path

from diptych.data.readers.cached import map_index
from diptych.data.readers.image_bytes import Images
from diptych.data.readers.index import Index
from diptych.data.sample import Sample, SampleError, Texts
from diptych.errors import DiptychError


class IndexedSource:
    """Pairs by number. Keys and texts come from memory-mapped arrays, an image from one read at its offset.

    Pickles as the names of its files, however many pairs there are.
    """

    def __init__(self, name: str, index: Index, images: Images) -> None:
        self._name, self._index, self._images = name, index, images

    @property
    def name(self) -> str:
        """What the config calls it."""
        return self._name

    def __len__(self) -> int:
        return len(self._index)

    def key(self, index: int) -> str:
        """The name of one pair, without reading its image."""
        return self._index.keys[self._checked(index)]

    def texts(self, index: int) -> Texts:
        """The words of one pair, without reading its image."""
        index = self._checked(index)
        return Texts(captions=self._index.captions[index], class_names=self._index.class_names[index])

    def read(self, index: int) -> Sample:
        """One pair. Raises SampleError, in one line that names the pair, where it cannot be read."""
        key, texts = self.key(index), self.texts(index)
        if not texts.captions and not texts.class_names:
            raise SampleError(f"{self._name}/{key} has neither a caption nor a class.")
        try:
            return Sample(key=key, image=self._images.read(self._index, index), texts=texts)
        except (OSError, ValueError, DiptychError) as error:  # ValueError: a name that no file can have
            raise SampleError(f"{self._name}/{key} cannot be read: {_reason(error).rstrip('.')}.") from error

    def __reduce__(self) -> "tuple[Callable[[str, Path, Images], IndexedSource], tuple[str, Path, Images]]":
        assert self._index.path is not None, "a source that other processes read is in the cache"
        return _reopened, (self._name, self._index.path, self._images)

    def _checked(self, index: int) -> int:
        if not 0 <= index < len(self._index):
            raise IndexError(f"{self._name} has samples 0 to {len(self._index) - 1}, got {index}")
        return index


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def _reopened(name: str, path: Path, images: Images) -> IndexedSource:
    return IndexedSource(name, map_index(path), images)
