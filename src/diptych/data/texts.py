"""The words that a sample is learnt with in one of its draws, and the id that tells which words are the same."""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from diptych.data.config import SourceConfig
from diptych.data.keyed import hash64
from diptych.data.sample import DataError, SampleError, Source, Texts

# How people put a name under a picture; a name alone is among them, since that is what many search for.
TRAINING_TEMPLATES: Final = (
    *("{}", "a {}", "the {}", "a photo of a {}.", "a photo of the {}.", "a photo of {}.", "a picture of a {}"),
    *("an image of a {}", "a close-up photo of a {}.", "a bright photo of a {}.", "a dark photo of a {}."),
    *("a blurry photo of a {}.", "a cropped photo of a {}.", "a photo of one {}.", "a good photo of a {}."),
)
_SOUNDS_LIKE_A_VOWEL: Final = re.compile(r"(?!uni|us[aeu]|ut[ei]|eu|on[ce]|uk)[aeiou]|hour|honest|heir", re.IGNORECASE)


@dataclass(frozen=True)
class DrawnText:
    """A text, and a 64-bit id that is equal where texts are right for each other's images."""

    text: str
    id: int


@dataclass(frozen=True, kw_only=True)
class Wording:
    """How one source's samples are put into words."""

    templates: tuple[str, ...] = TRAINING_TEMPLATES
    draws_any_name: bool = False
    shared_names: frozenset[str] = frozenset()  # normalised names that several classes have
    corrects_articles: bool = True  # "a apple" to "an apple"
    word_dropout: float = 0.0

    def draw(self, texts: Texts, generator: random.Random) -> DrawnText:
        """One of the captions; of an image without any, one of the class names in one of the templates.

        The id of a caption is that of its words, without case, spacing and full stop. The id of a class is that of its
        first name, whatever name was drawn, but for a name that several classes share.
        """
        captions = [caption for caption in texts.captions if not caption.isspace() and caption]
        if captions:
            caption = pick(captions, generator)
            return DrawnText(drop_words(caption, self.word_dropout, generator), _id(caption))
        names = [name for name in texts.class_names if not name.isspace() and name]
        if not names:
            raise SampleError("has neither a caption nor a class name")
        name = pick(names, generator) if self.draws_any_name else names[0]
        template = pick(self.templates, generator)
        stands_for = name if normalise(name) in self.shared_names else names[0]
        return DrawnText(self._fill(template, name), _id(stands_for))

    def _fill(self, template: str, name: str) -> str:
        if self.corrects_articles and _SOUNDS_LIKE_A_VOWEL.match(name):
            template = re.sub(r"\b([Aa]) \{\}", r"\1n {}", template)
        return template.replace("{}", name)


def make_wording(
    config: SourceConfig, source: Source, named_templates: Mapping[str, Sequence[str]], *, word_dropout: float = 0.0
) -> Wording:
    """The wording that a config asks for. DataError for templates of an unknown name."""
    shared = shared_names(source) if config.class_name_draw == "any" else frozenset()
    draws_any = config.class_name_draw == "any"
    if config.templates is None:
        return Wording(draws_any_name=draws_any, shared_names=shared, word_dropout=word_dropout)
    templates = config.templates
    if isinstance(templates, str):
        templates = (templates,) if "{}" in templates else _look_up(templates, named_templates)
    return Wording(
        templates=templates,
        draws_any_name=draws_any,
        shared_names=shared,
        corrects_articles=False,
        word_dropout=word_dropout,
    )


def _look_up(name: str, named_templates: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    try:
        return tuple(named_templates[name])
    except KeyError as error:
        raise DataError(f"data.sources.templates is neither a prompt with {{}} nor a known name: {error}") from error


def shared_names(source: Source) -> frozenset[str]:
    """The normalised names that samples of more than one class have; the first name of a sample is its class."""
    class_of: dict[str, str] = {}
    shared: set[str] = set()
    for index in range(len(source)):
        try:
            names = [normalise(name) for name in source.texts(index).class_names]
        except SampleError:
            continue  # reported when it is drawn
        shared.update(name for name in names if class_of.setdefault(name, names[0]) != names[0])
    return frozenset(shared)


def samples_by_class(source: Source) -> dict[str, list[int]]:
    """The samples of each class, by its first name. DataError for a sample without one."""
    found: dict[str, list[int]] = {}
    for index in range(len(source)):
        names = source.texts(index).class_names
        if not names:
            raise DataError(
                f"{source.name}: {source.key(index)} has no class name, which balance_classes needs of every sample: "
                "set it to false, or drop what has no class."
            )
        found.setdefault(normalise(names[0]), []).append(index)
    return found


def drop_words(caption: str, probability: float, generator: random.Random) -> str:
    """The caption without some of its words; the whole where none would be left. At probability 0 nothing is drawn."""
    if not probability:
        return caption
    kept = [word for word in caption.split() if generator.random() >= probability]
    return " ".join(kept) or caption


def normalise(text: str) -> str:
    """What texts that say the same share: no case, single spaces, no full stop at the end."""
    return " ".join(text.casefold().split()).rstrip(" .")


def pick(items: Sequence[str], generator: random.Random) -> str:
    """One of the items, each as likely; of `random`, only `random()` is promised to stay the same in later versions."""
    return items[int(generator.random() * len(items))]


def _id(text: str) -> int:
    return hash64(normalise(text).encode(errors="surrogatepass"))
