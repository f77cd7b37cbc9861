"""Class names for folders and numbers: a classes.txt or classes.json beside the data."""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from diptych.data.readers.remote import exists, join, local_copy
from diptych.data.sample import DataError

_NAMES = ("classes.txt", "classes.json", "classnames.txt", "class_names.txt", "class_names.json")


@dataclass(frozen=True, kw_only=True)
class ClassFile:
    """Class names by label: a folder's name, or a number as digits. The first name is the class."""

    place: str
    by_label: dict[str, tuple[str, ...]]

    def names(self, label: object) -> tuple[object, ...]:
        """The names of a label, or what was given where the file does not know it."""
        if isinstance(label, str | int) and not isinstance(label, bool):
            return self.by_label.get(str(label).strip(), (label,))
        return (label,)

    @property
    def identity(self) -> list[object]:
        """Plain data that differs where the names do."""
        return [[label, list(names)] for label, names in self.by_label.items()]


def find_class_file(folders: Iterable[str], labels: Collection[str] = ()) -> ClassFile | None:
    """The first class file in the folders, if there is any; `labels` are those that its lines may begin with."""
    for folder in folders:
        if folder.startswith(("http://", "https://")):
            continue  # where nothing can be looked for
        for name in _NAMES:
            place = join(folder, name)
            if exists(place):
                return _read(place, labels)
    return None


def folder_class(name: str) -> str:
    """A folder's name as words: "polar_bear" is a polar bear."""
    return " ".join(name.replace("_", " ").replace("-", " ").split())


def _read(place: str, labels: Collection[str]) -> ClassFile:
    try:
        text = local_copy(place).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{place} cannot be read ({error}); it is to hold class names in UTF-8.") from error
    by_label = _from_json(text, place) if place.endswith(".json") else _from_lines(text, labels)
    return ClassFile(place=place, by_label=by_label)


def _from_json(text: str, place: str) -> dict[str, tuple[str, ...]]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place} is not JSON ({error}).") from error
    if isinstance(data, list):
        data = dict(enumerate(data))
    if not isinstance(data, dict):
        raise DataError(f"{place} holds neither a list of class names nor an object of them by label.")
    named = {str(label): (names,) if isinstance(names, str) else names for label, names in data.items()}
    for label, names in named.items():
        if not isinstance(names, list | tuple) or not names or not all(isinstance(name, str) for name in names):
            raise DataError(f"{place}: the class {label!r} has the name {names!r}; give a string or a list of them.")
    return {label: tuple(names) for label, names in named.items()}


def _from_lines(text: str, labels: Collection[str]) -> dict[str, tuple[str, ...]]:
    """A line is `label<tab or space>name, other name`, or only names; then its number, from 0, is the label."""
    by_label: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(text.rstrip().splitlines()):
        label, _, names = line.strip().partition("\t" if "\t" in line else " ")
        if line.strip() in labels:
            label, names = line.strip(), folder_class(line)
        elif label not in labels and "\t" not in line:
            label, names = str(number), line
        by_label[label.strip()] = tuple(name.strip() for name in names.split(",") if name.strip())
    return by_label
