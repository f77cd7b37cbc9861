"""A source's path to the files it names: globs, ranges, lists, folders and URLs."""

import glob
import math
import os
import re
from itertools import product

from diptych.data.config import SourceConfig, SourceFormat
from diptych.data.readers.remote import (
    exists,
    is_folder,
    is_remote,
    last_part,
    listing,
    matches,
    without_file_scheme,
)
from diptych.data.sample import DataError

# What Pillow and libheif read; in a folder or a tar these are taken for images.
IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".heic", ".heif", ".hif", ".avif", ".gif", ".bmp"),
    *(".tif", ".tiff", ".jp2", ".j2k", ".ppm", ".pgm"),
)
TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")
_MOST_FILES = 1_000_000  # that the braces of one pattern may stand for
_MOST_DIGITS = 18  # of a bound of a range; Python refuses to read numbers of thousands of them
SPLITS = ("train", "test", "val", "valid", "validation", "dev", "eval")
_SPLIT = re.compile(rf"(?:^|[-_./])({'|'.join(SPLITS)})(?=[-_.\d/]|$)", re.IGNORECASE)


def find(config: SourceConfig) -> list[str]:
    """The places that the config's path names, in order of name within each pattern; DataError where nothing is."""
    patterns = (config.path,) if isinstance(config.path, str) else config.path
    places = [place for pattern in patterns for place in _expand(pattern)]
    if not places:
        raise DataError("The path of a source is empty; give a file, a folder, a pattern or a URL.")
    return list(dict.fromkeys(places))


def source_name(config: SourceConfig) -> str:
    """The config's name, else the last part of its (first) path, without suffix and wildcards."""
    path = config.path if isinstance(config.path, str) else config.path[0]
    plain = re.split(r"[*?\[{]", last_part(path.rstrip("/")))[0]
    return config.name or re.sub(r"(\.[A-Za-z]\w*)+$", "", plain).rstrip("-_.") or "data"


def shard_files(places: list[str], suffixes: tuple[str, ...]) -> list[str]:
    """Folders replaced by the files in them with such suffixes, or else by those in their folders."""
    files: list[str] = []
    for place in places:
        files += _files_in(place, suffixes) if is_folder(place) else [place]
    return files


def layouts(places: list[str]) -> dict[SourceFormat, str]:
    """Each layout that lies at the places, by the names of files, and the first place that has it."""
    found: dict[SourceFormat, str] = {}
    for place in places:
        found.setdefault(_format_in(place) if is_folder(place) else _format_of(place), place)
    return found


def has_suffix(place: str, suffixes: tuple[str, ...]) -> bool:
    """Whether a file's name ends so, in upper or lower case."""
    return last_part(place).lower().endswith(suffixes)


def _expand(pattern: str) -> list[str]:
    pattern = without_file_scheme(pattern)
    if not pattern:
        return []
    if pattern.startswith("~"):
        pattern = os.path.expanduser(pattern)  # noqa: PTH111 (a Path would lose a folder's last slash)
    places: list[str] = []
    for plain in _unbraced(pattern):
        if exists(plain):  # before wildcards: a file's name may hold [ and ]
            places.append(plain)
        elif not any(sign in plain for sign in "*?["):
            raise DataError(f"{plain} does not exist; give a file, a folder, a pattern such as train-*.tar, or a URL.")
        elif found := _matches(plain):
            places += found
        else:
            raise DataError(f"No file matches {plain}; a pattern is relative to the working folder.")
    return places


def _matches(pattern: str) -> list[str]:
    if is_remote(pattern):
        return matches(pattern)
    return sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 (Path.glob refuses absolute patterns)


def _unbraced(pattern: str) -> list[str]:
    """{000..012} and {a,b} as shells and webdataset write them, spelt out."""
    parts = re.split(r"\{([^{}]*(?:\.\.|,)[^{}]*)\}", pattern)
    choices = [[part] if number % 2 == 0 else _choices(part, pattern) for number, part in enumerate(parts)]
    if math.prod(map(len, choices)) > _MOST_FILES:
        raise _too_many(pattern)
    return ["".join(chosen) for chosen in product(*choices)]


def _choices(braced: str, pattern: str) -> list[str]:
    bounds = re.fullmatch(r"(\d+)\.\.(\d+)", braced)
    if bounds is None:
        return braced.split(",")
    width = len(bounds[1])
    if max(width, len(bounds[2])) > _MOST_DIGITS:
        raise _too_many(pattern)
    first, last = int(bounds[1]), int(bounds[2])
    if first > last:
        raise DataError(f"{pattern}: the range {{{braced}}} runs backwards; write the lower number first.")
    if last - first >= _MOST_FILES:
        raise _too_many(pattern)
    return [f"{number:0{width}d}" for number in range(first, last + 1)]


def _too_many(pattern: str) -> DataError:
    shown = pattern if len(pattern) <= 200 else f"{pattern[:200]}..."
    return DataError(f"{shown} stands for more than {_MOST_FILES:,} files; write shorter ranges.")


def _files_in(folder: str, suffixes: tuple[str, ...]) -> list[str]:
    inside = listing(folder)
    files = [file for file in inside.files if has_suffix(file, suffixes)]
    if not files:
        files = [file for inner in inside.folders for file in listing(inner).files if has_suffix(file, suffixes)]
    if not files:
        raise DataError(f"{folder} holds no {' or '.join(suffixes)} file; give the folder or the files themselves.")
    _check_one_split(folder, files)
    return files


def _check_one_split(folder: str, files: list[str]) -> None:
    """Whoever names a folder of training and validation files would train on both without a word."""
    inside = [file[len(folder) :] for file in files]
    splits = {found[-1].lower() for file in inside if (found := _SPLIT.findall(file))}
    if len(splits) > 1:
        raise DataError(
            f"{folder} holds several splits ({', '.join(sorted(splits))}); name the files of one, "
            f"such as {folder.rstrip('/')}/*{sorted(splits)[-1]}*."
        )


def _format_of(place: str) -> SourceFormat:
    if has_suffix(place, (".tar",)):
        return "webdataset"
    if has_suffix(place, (".parquet",)):
        return "parquet"
    if has_suffix(place, TABLE_SUFFIXES):
        return "table"
    if has_suffix(place, (".tar.gz", ".tgz", ".zip", ".gz", ".zst", ".rar", ".7z")):
        raise DataError(f"{place} is compressed, and samples are read in any order; unpack it (a plain .tar can stay).")
    raise DataError(
        f"{place} is not of a known layout: .tar, .parquet, {', '.join(TABLE_SUFFIXES)}, or a folder of these or of "
        "one folder a class; set format if its name is unusual."
    )


def _format_in(folder: str) -> SourceFormat:
    inside = listing(folder)
    candidates = [inside.files]
    candidates += [listing(inner).files for inner in inside.folders[:100]]
    for files in candidates:
        # In this order: img2dataset puts a Parquet file of facts beside each tar.
        for format_, suffixes in _BY_SUFFIX:
            if any(has_suffix(file, suffixes) for file in files):
                return format_
        if files is not inside.files and any(has_suffix(file, IMAGE_SUFFIXES) for file in files):
            return "folder"
    if any(has_suffix(file, IMAGE_SUFFIXES) for file in inside.files):
        raise DataError(
            f"{folder} holds images without texts; put them into a folder for each class, or give a CSV of file names "
            "and captions."
        )
    if inside.folders:
        return "folder"  # images may lie deeper
    raise DataError(f"{folder} holds no images, tar shards or tables; fill it, or give another path.")


_BY_SUFFIX: tuple[tuple[SourceFormat, tuple[str, ...]], ...] = (
    ("webdataset", (".tar",)),
    ("parquet", (".parquet",)),
    ("table", TABLE_SUFFIXES),
)
