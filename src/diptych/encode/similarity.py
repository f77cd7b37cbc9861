"""How well each image goes with its own words, under a model; what was computed once is kept on disk."""

import hashlib
import math
import os
import struct
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

from diptych.data.sample import Sample
from diptych.data.scan import image_digest
from diptych.encode.encoder import Encoder
from diptych.errors import ImageError
from diptych.files import cache_dir
from diptych.images import ImageSource

_KEY_BYTES = 16
_RECORD = struct.Struct(f"<{_KEY_BYTES}sf")


class PairSimilarity:
    """Called with samples, gives each image's cosine with that of its texts which is nearest; NaN if unreadable.

    A sample without captions is judged by its class names in `template`. Captions over the context are cut, as in
    training. With `cache`, cosines are kept on disk by content and model: work that was stopped goes on where it was,
    and another threshold costs no second look.
    """

    def __init__(self, encoder: Encoder, template: str, *, cache: bool = True) -> None:
        self._encoder, self._template = encoder, template
        self._path = cache_dir("similarities") / f"{encoder.fingerprint}-{encoder.dtype}.bin" if cache else None
        self._known = {} if self._path is None else _read(self._path)

    def __call__(self, samples: Sequence[Sample]) -> list[float]:
        """One cosine, -1 to 1, for each sample."""
        texts = [self._texts(sample) for sample in samples]
        digests = [image_digest(sample.image) for sample in samples]
        keys = [[_key(digest, text) for text in own] for digest, own in zip(digests, texts, strict=True)]
        new = [place for place, own in enumerate(keys) if not all(key in self._known for key in own)]
        if new:
            self._compute([samples[i].image for i in new], [texts[i] for i in new], [keys[i] for i in new])
        return [max((self._known[key] for key in own), default=math.nan) for own in keys]

    def _texts(self, sample: Sample) -> tuple[str, ...]:
        names = sample.texts.class_names
        return sample.texts.captions or tuple(self._template.replace("{}", name) for name in names)

    def _compute(self, images: list[bytes], texts: list[tuple[str, ...]], keys: list[list[bytes]]) -> None:
        rows = self._encoder.encode_images(images, on_error=_note_nothing)
        image_features = dict(zip(rows.indices.tolist(), rows.features, strict=True))
        distinct = list(dict.fromkeys(text for own in texts for text in own))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of captions that are cut: there would be a warning for each batch
            text_features = dict(zip(distinct, self._encoder.encode_texts(distinct), strict=True))
        found = {
            key: float(image_features[place] @ text_features[text]) if place in image_features else math.nan
            for place, (own, names) in enumerate(zip(texts, keys, strict=True))
            for text, key in zip(own, names, strict=True)
        }
        self._known |= found
        if self._path is not None:
            _append(self._path, found.items())


def _note_nothing(index: int, image: ImageSource, error: ImageError) -> None:
    """An image without a row has NaN for its cosine."""


def _key(digest: bytes, text: str) -> bytes:
    return hashlib.blake2b(digest + text.encode(errors="surrogatepass"), digest_size=_KEY_BYTES).digest()


def _read(path: Path) -> dict[bytes, float]:
    if not path.exists():
        return {}
    content = path.read_bytes()
    whole = len(content) // _RECORD.size * _RECORD.size
    if whole < len(content):  # a killed process left part of a record
        os.truncate(path, whole)
    return dict(_RECORD.iter_unpack(content[:whole]))


def _append(path: Path, found: Iterable[tuple[bytes, float]]) -> None:
    with path.open("ab") as file:
        file.write(b"".join(_RECORD.pack(key, cosine) for key, cosine in found))
