"""`diptych describe`: the words or captions nearest to a photo."""

import re
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from diptych.cli.options import Json, Library, Model
from diptych.cli.printing import one_line

if TYPE_CHECKING:
    from diptych.cli.inputs import Picture
    from diptych.encode.encoder import Encoder, Features
    from diptych.library.vocabulary import RankedText

_NUMBER = re.compile(r"photo:(\d{1,18})")
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
) -> None:
    """Rank texts for each photo: captions of your own as they stand, or 1,600 everyday words.

    The model is that of --model, else of the library if one is named, else postcard.

    [dim]Example: diptych describe beach.jpg --text "a day at the sea" --text "a birthday"[/dim]
    """
    import numpy as np

    from diptych.cli.inputs import find_pictures
    from diptych.encode.choose import encoder_for
    from diptych.library.library import PhotoLibrary
    from diptych.library.vocabulary import AS_IT_STANDS, build_vocabulary, rank_texts

    captions = _captions(text, texts)
    named = [argument for argument in photos if _NUMBER.fullmatch(argument)]
    pictures = find_pictures([argument for argument in photos if argument not in named])
    items = len(pictures) + (_AS_IMAGES if captions is None else len(captions) // 10)
    with PhotoLibrary.open(library, model=model) if named or library else nullcontext() as opened:
        encoder = encoder_for(model, items=items) if opened is None else opened.encoder(items=items)
        stored = [] if opened is None else [opened.vector(int(argument.partition(":")[2])) for argument in named]
    if captions is None:
        vocabulary = build_vocabulary(encoder)
    else:
        vocabulary = build_vocabulary(encoder, captions, template=AS_IT_STANDS)
    features, failures = _encoded(pictures, encoder)
    read = [picture.name for index, picture in enumerate(pictures) if index not in failures]
    ranked = rank_texts(np.concatenate([*(vector[None] for vector in stored), features]), vocabulary, top=top)
    _print(dict(zip([*named, *read], ranked, strict=True)), as_json=as_json)
    for line in failures.values():
        typer.echo(f"diptych: {line}", err=True)
    if failures:
        raise typer.Exit(1)


def _captions(text: list[str] | None, texts: Path | None) -> tuple[str, ...] | None:
    from diptych.library.vocabulary import read_texts

    if text and texts:
        raise ValueError("Give --text or --texts, not both.")
    if text and not all(caption.strip() for caption in text):
        raise ValueError("A --text is empty: is a variable unset?")
    return tuple(dict.fromkeys(text)) if text else None if texts is None else read_texts(texts)


def _encoded(pictures: "list[Picture]", encoder: "Encoder") -> "tuple[Features, dict[int, str]]":
    """(n, E) of those that can be read, and of the others, by index, a line that says why not."""
    from diptych.cli.inputs import fetched

    failures: dict[int, str] = {}

    def note(index: int, _: object, error: Exception) -> None:
        failures.setdefault(index, str(error).replace("the given bytes", pictures[index].name, 1))

    rows = encoder.encode_images(fetched(pictures, failures), on_error=note)
    return rows.features, dict(sorted(failures.items()))


def _print(described: "dict[str, list[RankedText]]", *, as_json: bool) -> None:
    import json

    if as_json:
        plain = [{"path": name, "texts": [vars(text) for text in texts]} for name, texts in described.items()]
        typer.echo(json.dumps(plain, indent=2))
        return
    for name, texts in described.items():
        typer.echo(one_line(name))
        for text in texts:
            typer.echo(f"    {text.score:.3f}  {one_line(text.text)}")
