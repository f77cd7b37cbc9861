"""Labels as people give them: a line of commas, a file of lines, or JSON with descriptions."""

from collections import Counter
from pathlib import Path
from typing import Final

import typer

from diptych.lists import read_list
from diptych.prompts import DEFAULT_LABELS
from diptych.zeroshot import ClassNames

_FILES: Final = (".txt", ".json")


def choose_class_names(labels: str | None, labels_file: Path | None, *, multi: bool) -> ClassNames:
    """What --labels or --labels-file offer; without either, everyday labels, which is said on stderr.

    `--labels animals.txt` is --labels-file animals.txt: no label ends in .txt or .json.
    """
    if labels is not None and labels_file is not None:
        raise ValueError("Give --labels or --labels-file, not both.")
    if labels is not None and "," not in labels and labels.lower().endswith(_FILES):
        labels_file, labels = Path(labels).expanduser(), None
    if labels is None and labels_file is None and multi:
        raise ValueError("With --multi, say which labels may hold: --labels or --labels-file.")
    if labels is None and labels_file is None:
        typer.echo(f"diptych: no labels given, so {len(DEFAULT_LABELS)} everyday ones are tried (--labels).", err=True)
        return DEFAULT_LABELS
    names = split_labels(labels) if labels is not None else read_labels(labels_file or Path())
    if len(list(names)) == 1 and not multi:
        raise ValueError("One label alone gets 100% whatever the photo shows: give at least two, or --multi.")
    return names


def choose_threshold(threshold: float | None, *, multi: bool) -> float:
    """From which probability a label holds with --multi; ValueError where one is given without."""
    if threshold is not None and not multi:
        raise ValueError("--threshold is for --multi: without it, a photo gets the label that fits best.")
    return 0.5 if threshold is None else threshold


def split_labels(text: str) -> list[str]:
    """The names in "dog, cat"; a comma inside a name needs a labels file."""
    return _checked([name.strip() for name in text.split(",")], f"--labels {text!r}")


def read_labels(path: Path) -> ClassNames:
    """One label a line (blank lines and # comments left out), or JSON: a list of names, or name -> description(s)."""
    content = read_list(path, kind="labels")
    if isinstance(content, list) and all(isinstance(name, str) for name in content):
        return _checked(content, str(path))
    if isinstance(content, dict) and all(_is_described(value) for value in content.values()):
        _checked(list(content), str(path))
        return content
    raise ValueError(f"The labels file {path} must hold a list of names, or an object of names and descriptions.")


def _is_described(value: object) -> bool:
    texts = value if isinstance(value, list) else [value]
    return bool(texts) and all(isinstance(text, str) and text.strip() for text in texts)


def _checked(names: list[str], where: str) -> list[str]:
    if not names:
        raise ValueError(f"{where} holds no labels: give at least two.")
    if any(not name.strip() for name in names):
        raise ValueError(f"{where} holds an empty label: is a comma or a quote too many?")
    if twice := sorted(name for name, count in Counter(names).items() if count > 1):
        raise ValueError(f"{where} holds these labels more than once: {', '.join(twice)}.")
    return names
