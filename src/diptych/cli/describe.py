"""`diptych describe`: the words or captions nearest to a photo."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from diptych.cli.options import Device, DType, Json, Library, Model
from diptych.cli.printing import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from diptych.cli.inputs import Picture
    from diptych.encode.encoder import Encoder, Features
    from diptych.library.vocabulary import RankedText

_AS_IMAGES = 60  # as much work as the everyday words: postcard does them without torch before torch is imported


def describe(
    photos: Annotated[
        list[str],
        typer.Argument(metavar="PHOTO...", help="Files, folders, globs, http(s) addresses; photo:17 of the library."),
    ],
    text: Annotated[list[str] | None, typer.Option(help="A caption to rank; once for each.")] = None,
    texts: Annotated[
        Path | None, typer.Option(help="A file of captions: one a line, or a JSON list. \\[default: everyday words]")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="How many texts a photo.")] = 5,
    as_json: Json = False,
    library: Library = None,
    model: Model = None,
    dtype: DType = "auto",
    device: Device = "auto",
) -> None:
    """Rank texts for each photo: captions of your own as they stand, or 1,600 everyday words.

    The model is that of --model, else of the library if one is named, else postcard.

    [dim]Example: diptych describe beach.jpg --text "a day at the sea" --text "a birthday"[/dim]
    """
    import numpy as np

    from diptych.encode.choose import encoder_for
    from diptych.library.library import PhotoLibrary
    from diptych.library.vocabulary import AS_IT_STANDS, build_vocabulary, rank_texts

    captions = _captions(text, texts)
    wanted = [each for argument in photos for each in _find(argument)]
    pictures = {place: each for place, each in enumerate(wanted) if not isinstance(each, int)}
    items = len(pictures) + (_AS_IMAGES if captions is None else len(captions) // 10)
    is_library = library is not None or len(pictures) < len(wanted)
    with PhotoLibrary.open(library, model=model, device=device, dtype=dtype) if is_library else nullcontext() as opened:
        if opened is None:
            encoder = encoder_for(model, items=items, device=device, dtype=dtype)
        else:
            encoder = opened.encoder(items=items)
        features = np.zeros((len(wanted), encoder.embed_dim), np.float32)
        for place, each in enumerate(wanted):
            if opened is not None and isinstance(each, int):
                features[place] = opened.vector(each)
    if captions is None:
        vocabulary = build_vocabulary(encoder)
    else:
        vocabulary = build_vocabulary(encoder, captions, template=AS_IT_STANDS)
    errors = _encode(pictures, encoder, features)
    ranked = rank_texts(features, vocabulary, top=top)
    names = [f"photo:{each}" if isinstance(each, int) else each.name for each in wanted]
    _print(list(zip(names, ranked, map(errors.get, range(len(wanted))), strict=True)), as_json=as_json)
    if errors:
        raise typer.Exit(1)


def _find(argument: str) -> "Sequence[int | Picture]":
    """The number of a photo of the library, or the pictures that an argument names."""
    from diptych.cli.inputs import find_pictures
    from diptych.cli.pointing import parse_photo

    number = parse_photo(argument)
    return find_pictures([argument]) if number is None else [number]


def _captions(text: list[str] | None, texts: Path | None) -> tuple[str, ...] | None:
    from diptych.library.vocabulary import read_texts

    if text and texts:
        raise ValueError("Give --text or --texts, not both.")
    if text and not all(caption.strip() for caption in text):
        raise ValueError("A --text is empty: is a variable unset?")
    return tuple(dict.fromkeys(text)) if text else None if texts is None else read_texts(texts)


def _encode(pictures: "Mapping[int, Picture]", encoder: "Encoder", features: "Features") -> dict[int, str]:
    """Put the pictures into their rows of features, (n, E); of those that cannot be read, a line that says why not."""
    from diptych.cli.inputs import fetched

    failed: dict[int, str] = {}
    places, named = list(pictures), list(pictures.values())

    def note(index: int, _: object, error: Exception) -> None:
        failed.setdefault(index, str(error).replace("the given bytes", named[index].name, 1))

    read = encoder.encode_images(fetched(named, failed), on_error=note)
    features[[places[index] for index in read.indices]] = read.features
    return {places[index]: line for index, line in failed.items()}


def _print(described: "list[tuple[str, list[RankedText], str | None]]", *, as_json: bool) -> None:
    import json

    if as_json:
        plain = [
            {"path": name, "error": error} if error else {"path": name, "texts": [vars(text) for text in texts]}
            for name, texts, error in described
        ]
        typer.echo(json.dumps(plain, indent=2))
    for name, texts, error in described:
        if error:
            typer.echo(f"diptych: {error}", err=True)
        elif not as_json:
            typer.echo(one_line(name))
            for text in texts:
                typer.echo(f"    {text.score:.3f}  {one_line(text.text)}")
