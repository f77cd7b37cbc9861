"""Class names written as sentences make a classifier with no training (Radford et al. 2021, section 3.1)."""

import hashlib
import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from diptych.encode.encoder import Array, Encoder, Features
from diptych.errors import DiptychError
from diptych.files import atomic_write, cache_dir
from diptych.images import ImageSource
from diptych.prompts import DEFAULT_LABELS, TEMPLATES

DEFAULT_TEMPLATE = "a photo of a {}."
# A label is held against what this share of a background set reaches on the same picture.
BACKGROUND_QUANTILE = 0.95
# Counted up when the same prompts come to other vectors, or a file's layout changes.
_CACHE_VERSION = 1
# Fewer prompts than this are computed sooner than looked up.
_WORTH_CACHING = 64

ClassNames = Iterable[str] | Mapping[str, str | Sequence[str]]
Prompts = tuple[tuple[str, tuple[str, ...]], ...]
Templates = str | Path | Sequence[str] | None


@dataclass(frozen=True, kw_only=True)
class Label:
    """What a picture may show.

    `probability` is relative to the labels offered (or, of `predict_each`, to a background set); `cosine` is not.
    `margin` is this cosine less the best of the other labels': negative for all but the first.
    """

    name: str
    probability: float
    cosine: float
    margin: float


class ZeroShotClassifier:
    """Class names turned into unit vectors once, and pictures compared with them.

    `class_features` is (K, E) float32, unit rows; `prompts` are the K names, each with its sentences. What comes
    later, more classes or a background, is put into the same `templates`.
    """

    def __init__(
        self, encoder: Encoder, prompts: Prompts, class_features: Features, *, templates: Templates, cache: bool
    ) -> None:
        self.encoder = encoder
        self.prompts = prompts
        self.templates = templates
        self.cache = cache
        self.class_names = tuple(name for name, _ in prompts)
        self.class_features = class_features
        self._background: tuple[tuple[str, ...], Features] | None = None  # of the last call, for the next

    def __repr__(self) -> str:
        names = ", ".join(self.class_names[:3]) + (", ..." if len(self.class_names) > 3 else "")
        return f"ZeroShotClassifier({len(self.class_names)} classes: {names})"

    def predict(self, images: Iterable[ImageSource], *, top: int | None = None) -> list[list[Label]]:
        """Per image, the labels from the most to the least probable: exactly one of them is taken to be right.

        An unreadable image raises ImageError. To go on without it: `indices, features = encode_images(images,
        on_error=...)`, then `rank(features)`.
        """
        return self.rank(self.encoder.encode_images(images), top=top)

    def rank(self, image_features: Features, *, top: int | None = None) -> list[list[Label]]:
        """`predict` for images that are features already, (N, E) unit rows."""
        if top is not None and top < 1:
            raise ValueError(f"top must be at least 1, got {top}.")
        cosines = image_features @ self.class_features.T
        return self._ranked(cosines, softmax(self.encoder.logit_scale * cosines), top)

    def predict_each(
        self,
        images: Iterable[ImageSource],
        *,
        threshold: float | Mapping[str, float] = 0.5,
        background: Sequence[str] = DEFAULT_LABELS,
    ) -> list[list[Label]]:
        """Per image, those labels that hold by themselves, any number of them, most probable first.

        Each is compared with what the `background` texts reach on the same picture: its probability is the sigmoid
        of the scaled distance to their 95th percentile, and it is kept from `threshold` on (one for all, or by name).
        """
        return self.rank_each(self.encoder.encode_images(images), threshold=threshold, background=background)

    def rank_each(
        self,
        image_features: Features,
        *,
        threshold: float | Mapping[str, float] = 0.5,
        background: Sequence[str] | Features = DEFAULT_LABELS,
    ) -> list[list[Label]]:
        """`predict_each` for images that are features already, (N, E) unit rows; so may the background be, (B, E)."""
        thresholds = _thresholds(threshold, self.class_names)
        if isinstance(background, np.ndarray):
            background_features = background
        else:
            background_features = self._background_features(tuple(t for t in background if t not in self.class_names))
        if not len(background_features):
            raise ValueError("background must hold a text that is not a label.")
        cosines = image_features @ self.class_features.T
        reference = np.quantile(image_features @ background_features.T, BACKGROUND_QUANTILE, axis=1)
        probabilities = 1 / (1 + np.exp(-self.encoder.logit_scale * (cosines - reference[:, None])))
        ranked = self._ranked(cosines, probabilities, None)
        return [[label for label in labels if label.probability >= thresholds[label.name]] for labels in ranked]

    def extended(self, class_names: ClassNames, templates: Templates = None) -> "ZeroShotClassifier":
        """A classifier with more classes after these, by default in its templates; none is computed again."""
        templates = self.templates if templates is None else templates
        more = build_classifier(self.encoder, class_names, templates, cache=self.cache)
        if twice := [name for name in more.class_names if name in self.class_names]:
            raise ValueError(f"The classifier has these classes already: {', '.join(twice)}.")
        features = np.concatenate([self.class_features, more.class_features])
        prompts = self.prompts + more.prompts
        return ZeroShotClassifier(self.encoder, prompts, features, templates=self.templates, cache=self.cache)

    def save(self, path: str | Path) -> None:
        """Write class names, prompts and features to a safetensors file, with the fingerprint of their model."""
        _write(Path(path), self)

    @classmethod
    def load(cls, path: str | Path, encoder: Encoder) -> "ZeroShotClassifier":
        """Read what `save` wrote; DiptychError if the file is damaged or of another model or dtype."""
        return _read(Path(path), encoder)

    def _background_features(self, texts: tuple[str, ...]) -> Features:
        if not texts:
            return np.empty((0, self.class_features.shape[1]), np.float32)
        if self._background is None or self._background[0] != texts:
            made = build_classifier(self.encoder, texts, self.templates, cache=self.cache)
            self._background = (texts, made.class_features)
        return self._background[1]

    def _ranked(self, cosines: Array, probabilities: Array, top: int | None) -> list[list[Label]]:
        return [self._rank_one(row, p, top) for row, p in zip(cosines, probabilities, strict=True)]

    def _rank_one(self, cosines: Array, probabilities: Array, top: int | None) -> list[Label]:
        order = np.argsort(-cosines, kind="stable")
        best, second = cosines[order[0]], cosines[order[min(1, len(order) - 1)]]
        return [
            Label(
                name=self.class_names[i],
                probability=float(probabilities[i]),
                cosine=float(cosines[i]),
                margin=float(cosines[i] - (second if i == order[0] else best)),
            )
            for i in order[:top]
        ]


def build_classifier(
    encoder: Encoder,
    class_names: ClassNames,
    templates: Templates = None,
    *,
    cache: bool = True,
    progress: bool = False,
) -> ZeroShotClassifier:
    """Class vectors by OpenAI's protocol: prompts to unit vectors, their mean per class, unit length again.

    `class_names` are names, or a mapping from each name to a phrase or several that describe it. `templates` is a
    name in `diptych.prompts.TEMPLATES`, one template, several, or a file with one a line, each with one `{}` for the
    name; by default "a photo of a {}.", or descriptions as they stand. Vectors of many prompts are kept in the cache
    folder by content, unless `cache` is False.
    """
    templates = None if templates is None else resolve_templates(templates)  # a file may change, a generator ends
    prompts = write_prompts(class_names, templates)

    def compute() -> ZeroShotClassifier:
        features = _class_features(encoder, prompts, progress)
        return ZeroShotClassifier(encoder, prompts, features, templates=templates, cache=cache)

    if not cache or sum(len(sentences) for _, sentences in prompts) < _WORTH_CACHING:
        return compute()
    try:
        path = cache_dir("classifiers") / f"{_cache_key(encoder, prompts)}.safetensors"
        if path.exists():
            with suppress(DiptychError):  # damaged, by a full disk say: make it again
                return _read(path, encoder)
    except (DiptychError, OSError) as error:
        warnings.warn(f"Class vectors are not kept: {error}", stacklevel=3)
        return compute()
    classifier = compute()
    try:
        _write(path, classifier)
    except (DiptychError, OSError) as error:
        warnings.warn(f"Class vectors are not kept: {path} cannot be written ({error}).", stacklevel=3)
    return classifier


def write_prompts(class_names: ClassNames, templates: Templates = None) -> Prompts:
    """Each class name with its sentences. Published names repeat (ImageNet has two missiles), so these may too."""
    if isinstance(class_names, str):
        raise ValueError(f"class_names must be several names, got one string: write [{class_names!r}].")
    if isinstance(class_names, Mapping):
        described, forms = list(class_names.items()), resolve_templates("{}" if templates is None else templates)
    else:
        described = [(name, name) for name in class_names]
        forms = resolve_templates(DEFAULT_TEMPLATE if templates is None else templates)
    if not described:
        raise ValueError("class_names must hold at least one name, got none.")
    prompts = []
    for name, given in described:
        phrases = tuple(given) if isinstance(given, list | tuple) else (given,)
        if not phrases or not all(isinstance(text, str) for text in (name, *phrases)):
            raise ValueError(f"A class needs a name and phrases that are texts, got {name!r}: {phrases!r}.")
        prompts.append((name, tuple(form.replace("{}", phrase) for phrase in phrases for form in forms)))
    return tuple(prompts)


def resolve_templates(templates: str | Path | Sequence[str], *, may_read: bool = True) -> tuple[str, ...]:
    """Templates by name, as one string, a file (one a line) or a list; ValueError unless each has one `{}`.

    Without `may_read` no file is looked at: for templates of strangers.
    """
    if isinstance(templates, str | Path):
        forms = _named_or_read(templates, may_read=may_read)
    else:
        forms = tuple(templates)
    if not forms:
        raise ValueError("templates must hold at least one, got none.")
    for form in forms:
        if not isinstance(form, str) or form.count("{}") != 1:
            raise ValueError(f"A template must have one {{}} where the class name goes, got {form!r}.")
    return forms


def _named_or_read(templates: str | Path, *, may_read: bool) -> tuple[str, ...]:
    if isinstance(templates, str) and "{" in templates:
        return (templates,)
    if isinstance(templates, str):
        try:
            return TEMPLATES[templates]  # before any file: what lies in the working folder changes no published name
        except KeyError as error:
            if not may_read or not Path(templates).is_file():
                raise ValueError(f"{error}; a template of one's own has {{}} where the class name goes.") from None
    try:
        lines = Path(templates).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"The templates file {templates} cannot be read: {error}.") from error
    return tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))


def softmax(logits: Array) -> Array:
    """Rows of positive numbers that sum to 1, from (N, K) logits, in float64."""
    e = np.exp((logits - logits.max(axis=-1, keepdims=True)).astype(np.float64))
    return e / e.sum(axis=-1, keepdims=True)


def _class_features(encoder: Encoder, prompts: Prompts, progress: bool) -> Features:
    texts = [text for _, sentences in prompts for text in sentences]
    return average_prompts(encoder.encode_texts(texts, progress=progress), prompts)


def average_prompts(features: Features, prompts: Prompts) -> Features:
    """(K, E) unit rows: of each class the mean direction of its prompts, whose (P, E) unit rows are in their order."""
    starts = np.cumsum([0, *(len(sentences) for _, sentences in prompts)])[:-1]
    means = np.add.reduceat(features, starts, axis=0)  # the length of the sum does not matter: it is made 1
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def _thresholds(threshold: float | Mapping[str, float], class_names: Sequence[str]) -> dict[str, float]:
    if not isinstance(threshold, Mapping):
        threshold = dict.fromkeys(class_names, threshold)
    if missing := [name for name in class_names if name not in threshold]:
        raise ValueError(f"No threshold is given for {', '.join(missing)}.")
    if wrong := [name for name in class_names if not 0 <= threshold[name] <= 1]:
        raise ValueError(f"Thresholds are probabilities from 0 to 1, got {threshold[wrong[0]]} for {wrong[0]}.")
    return dict(threshold)


def _cache_key(encoder: Encoder, prompts: Prompts) -> str:
    content = json.dumps([_CACHE_VERSION, encoder.fingerprint, encoder.dtype, prompts])
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def _write(path: Path, classifier: ZeroShotClassifier) -> None:
    from safetensors.numpy import save

    encoder = classifier.encoder
    templates = None if classifier.templates is None else resolve_templates(classifier.templates)
    described = {
        "fingerprint": encoder.fingerprint,
        "dtype": encoder.dtype,
        "prompts": json.dumps(classifier.prompts),
        "templates": json.dumps(templates),
    }
    with atomic_write(path) as temporary:
        temporary.write_bytes(save({"class_features": classifier.class_features}, metadata=described))


def _read(path: Path, encoder: Encoder) -> ZeroShotClassifier:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            features, described = file.get_tensor("class_features"), file.metadata()
        prompts = tuple((name, tuple(sentences)) for name, sentences in json.loads(described["prompts"]))
        made_with, templates = (described["fingerprint"], described["dtype"]), json.loads(described["templates"])
        if features.dtype != np.float32 or features.shape != (len(prompts), encoder.embed_dim):
            raise ValueError(f"class_features is {features.dtype} of shape {features.shape}")
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise DiptychError(f"{path} is not a classifier that can be read: {error}.") from error
    if made_with != (encoder.fingerprint, encoder.dtype):
        raise DiptychError(
            f"{path} was made with model {made_with[0]} in {made_with[1]}, and this is {encoder.fingerprint} in "
            f"{encoder.dtype}: load that model, or build the classifier again."
        )
    return ZeroShotClassifier(encoder, prompts, features, templates=templates, cache=True)
