"""Prompt templates, class names and default labels, as published (see NOTICE): data only, read on first use."""

from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["CLASS_NAMES", "DEFAULT_LABELS", "TEMPLATES", "UnknownPromptsError", "canonical_name"]

DEFAULT_LABELS: tuple[str, ...]
"""What ordinary photos show, in plain singular phrases: the labels offered when the user names none."""

_FOLDER = Path(__file__).parent

# Names under which CLIP_benchmark publishes a set that we call otherwise; all other names differ by "_" at most.
_RENAMED = {
    "imagenet1k": "imagenet",
    "cars": "stanford-cars",
    "flowers": "oxford-flowers",
    "pets": "oxford-pets",
    "renderedsst2": "rendered-sst2",
}


class UnknownPromptsError(KeyError, ValueError):
    """A name no prompts are kept under: a KeyError to a mapping's users, a bad argument to everyone else."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would print the message in quotes


def canonical_name(name: str) -> str:
    """The name a data set has here, given it or CLIP_benchmark's: "imagenet1k" is "imagenet"."""
    name = name.lower().replace("_", "-")
    return _RENAMED.get(name, name)


class _Table(Mapping[str, tuple[str, ...]]):
    """A JSON file of name -> list of strings, read when first looked into."""

    def __init__(self, file_name: str, contents: str) -> None:
        self._path = _FOLDER / file_name
        self._contents = contents
        self._rows: dict[str, tuple[str, ...]] | None = None

    def _read(self) -> dict[str, tuple[str, ...]]:
        if self._rows is None:
            import json

            table = json.loads(self._path.read_text(encoding="utf-8"))
            self._rows = {name: tuple(strings) for name, strings in table.items()}
        return self._rows

    def __getitem__(self, name: str) -> tuple[str, ...]:
        rows = self._read()
        if (known := canonical_name(name)) not in rows:
            from difflib import get_close_matches

            nearest = ", ".join(get_close_matches(known, rows, n=3, cutoff=0.0))
            raise UnknownPromptsError(
                f"there are no {self._contents} named {name!r}; the nearest of the {len(rows)} names are {nearest}"
            )
        return rows[known]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())


TEMPLATES: Mapping[str, tuple[str, ...]] = _Table("templates.json", "templates")
"""Name -> prompts with one `{}` for the class name: "imagenet" (80), "imagenet-7", "simple", and one per data set."""

CLASS_NAMES: Mapping[str, tuple[str, ...]] = _Table("class_names.json", "class names")
"""Name -> class names in the order of the data set's label ids: "imagenet" (OpenAI's 1,000), "cifar10", ..."""


def __getattr__(name: str) -> tuple[str, ...]:
    if name != "DEFAULT_LABELS":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    lines = (_FOLDER / "labels.txt").read_text(encoding="utf-8").splitlines()
    labels = tuple(line for line in lines if line and not line.startswith("#"))
    globals()["DEFAULT_LABELS"] = labels
    return labels
