"""A folder for each class, with its images in it or deeper: the class is named as the folder is, or by a class file."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from diptych.data.readers.cached import cached_index, map_index
from diptych.data.readers.class_names import ClassFile, find_class_file, folder_class
from diptych.data.readers.image_bytes import ImageFiles
from diptych.data.readers.index import Index, IndexBuilder
from diptych.data.readers.locate import IMAGE_SUFFIXES, SPLITS, has_suffix
from diptych.data.readers.remote import is_folder, is_remote, last_part, listing
from diptych.data.sample import DataError, Texts


def open_class_folders(places: Sequence[str]) -> tuple[Index, ImageFiles]:
    """The index of all images of all class folders in order of name, and what reads them. Raises DataError."""
    builder = IndexBuilder()
    names: list[object] = []
    for place in places:
        root = place if is_remote(place) else str(Path(place).absolute())
        if not is_folder(root):
            raise DataError(f"{place} is no folder; the folder layout is a folder that holds one for each class.")
        folders = {last_part(folder): folder for folder in listing(root).folders}
        _check_one_split(place, folders)
        classes = find_class_file([root], folders)
        names.append(classes.identity if classes else None)
        for name, folder in folders.items():
            for image in _images(folder):
                builder.add_place(image[len(root) :].lstrip("/\\"), _class(name, classes), image)
    index = builder.build()
    # The folders are listed anew each time, since nothing else tells what has changed in them.
    listed = hashlib.blake2b(index.places.blob.tobytes() + index.places.starts.tobytes()).hexdigest()
    return map_index(cached_index(["folder", names, listed], lambda: index)), ImageFiles()


def _check_one_split(place: str, folders: Iterable[str]) -> None:
    splits = [folder for folder in folders if folder.lower() in SPLITS]
    if len(splits) > 1:
        raise DataError(f"{place} holds the splits {', '.join(splits)}, not classes; give the folder of one of them.")


def _images(folder: str) -> Iterator[str]:
    inside = listing(folder)
    yield from (file for file in inside.files if has_suffix(file, IMAGE_SUFFIXES))
    for deeper in inside.folders:
        yield from _images(deeper)


def _class(folder: str, classes: ClassFile | None) -> Texts:
    if classes is None:
        return Texts(class_names=(folder_class(folder),))
    if folder not in classes.by_label:
        raise DataError(f"{classes.place} has no name for the folder {folder!r}; add a line: {folder} NAME.")
    return Texts(class_names=classes.by_label[folder])
