"""Small pictures of photos for browsers, whatever they are made of."""

from functools import partial
from pathlib import Path

from diptych.library.library import PhotoLibrary
from diptych.library.photo_details import PhotoDetails
from diptych.library.thumbnails import Thumbnail, kept_thumbnail, thumbnail
from diptych.serve.image_inputs import read_inputs
from diptych.serve.photo_files import opened_photo
from diptych.serve.problems import Problem
from diptych.serve.root_names import RootNames
from diptych.serve.state import Server


async def make_thumbnail(
    server: Server, photo: PhotoDetails, names: RootNames, *, side: int, second: float | None
) -> bytes:
    """A JPEG without metadata, within `side` pixels; a Problem where there is none."""
    library = server.need_library()
    if photo.is_embedded:
        made = await library.run(partial(_from_table, photo.id, side))
    elif photo.source.is_file:
        folders = names.folders_of(photo)
        made = await library.run_beside(partial(_from_file, library.folder, photo, folders, side, second))
    else:
        made = await _from_address(server, photo, side)
    if made.jpeg:
        return made.jpeg
    raise Problem(404, "no-thumbnail", "There is no small picture", names.without_paths(made.reason))


def _from_table(photo: int, side: int, library: PhotoLibrary) -> Thumbnail:
    return library.thumbnail(photo, side=side)


def _from_file(folder: Path, photo: PhotoDetails, roots: list[Path], side: int, second: float | None) -> Thumbnail:
    """Of what is in the file now; where that is gone, what is kept of it."""
    make = partial(thumbnail, folder, side=side, second=second, suffix=photo.source.path.suffix)
    try:
        with opened_photo(photo.source.path, roots) as file:
            is_as_indexed = (file.status.st_size, file.status.st_mtime_ns) == (photo.size, photo.mtime_ns)
            made = make(photo.hash if is_as_indexed else None, file.path)
            return Thumbnail(jpeg=made.jpeg, reason=made.reason.removeprefix(f"{file.path}: "))
    except Problem as problem:
        if problem.slug != "file-gone":
            raise
        return kept_thumbnail(folder, photo.hash, side=side, second=second) or Thumbnail(reason=problem.detail)


async def _from_address(server: Server, photo: PhotoDetails, side: int) -> Thumbnail:
    """What is kept, or else what the address gives, where the server may ask it."""
    library = server.need_library()
    kept = await library.run_beside(partial(kept_thumbnail, library.folder, photo.hash, side=side))
    if kept is not None:
        return kept
    if not server.config.allow_url_fetch:
        return Thumbnail(reason="The picture is at a web address, and this server fetches none (--allow-url-fetch).")
    async with read_inputs([photo.source], server) as (content,):
        if isinstance(content, Problem):
            return Thumbnail(reason=content.detail)
        return await library.run_beside(partial(thumbnail, library.folder, photo.hash, content, side=side))
