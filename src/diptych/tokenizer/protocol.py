"""What the rest of Diptych asks of a tokenizer, and the checks that every tokenizer shares."""

from collections.abc import Sequence
from typing import Protocol


class Tokenizer(Protocol):
    """A text's way to ids and back. All methods are safe from several threads."""

    @property
    def vocab_size(self) -> int:
        """Rows that a token embedding needs: one more than the highest id."""

    @property
    def start_token(self) -> int:
        """The id that every encoded text starts with."""

    @property
    def end_token(self) -> int:
        """The id that every encoded text ends with; its position is the one that CLIP pools."""

    @property
    def fingerprint(self) -> str:
        """A stable name for the mapping from texts to ids, for the keys of caches."""

    def encode(self, text: str) -> list[int]:
        """Ids of a text with its start and end tokens, never cut; ValueError when it is not a string."""

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` of each text; ValueError naming the position of one that is not a string."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text that a model reads in these ids: up to the first end token; ValueError for an id out of range."""


def check_is_text(text: object, name: str = "text") -> None:
    """Raise ValueError when it is not a string; the message calls it by the name."""
    if not isinstance(text, str):
        raise ValueError(f"{name} is not a string but {type(text).__name__} ({text!r:.40}): pass a str")


def check_are_texts(texts: Sequence[str]) -> None:
    """Raise ValueError when something in the batch is not a string, or the batch itself is one."""
    if isinstance(texts, str | bytes):
        raise ValueError(f"texts is a single {type(texts).__name__} ({texts!r:.40}): put it in a list")
    for position, text in enumerate(texts):
        check_is_text(text, f"text {position}")


def readable(ids: Sequence[int], tokenizer: Tokenizer) -> list[int]:
    """The ids that a model reads as text: without start tokens, up to the first end token, so without padding."""
    kept: list[int] = []
    for i in map(int, ids):
        if not 0 <= i < tokenizer.vocab_size:
            raise ValueError(f"{i} is not a token id: they go from 0 to {tokenizer.vocab_size - 1}")
        if i == tokenizer.end_token:
            break
        if i != tokenizer.start_token:
            kept.append(i)
    return kept
