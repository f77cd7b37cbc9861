"""CLIP's tokenizer: a lower-cased byte-level BPE with a vocabulary of 49,408 (Radford et al. 2021, section 2.4).

The ids are those of simple_tokenizer.py in OpenAI's repository, for every text.
"""

import gzip
from collections.abc import Sequence
from functools import cache
from heapq import heapify, heappop, heappush
from itertools import chain, count
from pathlib import Path

import regex

from diptych.tokenizer.protocol import check_are_texts, check_is_text, readable

_VOCABULARY = Path(__file__).parents[1] / "vocabulary" / "bpe_simple_vocab_16e6.txt.gz"
# CLIP uses the first 48,894 merges of the file's 262,145; they end at this byte, and no more is decompressed.
_MERGES_END = 524_644

START, END = "<|startoftext|>", "<|endoftext|>"
_SPECIAL_IDS = {START: 49406, END: 49407}

PIECES = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
# `regex`, not `re`, because it is the published tokenizer's engine: its letters and numbers are the same.
_PIECE = regex.compile(rf"<\|startoftext\|>|<\|endoftext\|>|{PIECES}", regex.IGNORECASE)


def _byte_characters() -> dict[int, str]:
    """The visible character that spells each byte, in order of ids: Latin-1 its own, the others from U+0100 on."""
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in visible]
    return {byte: chr(byte) for byte in visible} | {byte: chr(256 + i) for i, byte in enumerate(others)}


_CHARACTERS = _byte_characters()
_CHARACTER_IDS = dict(zip(_CHARACTERS.values(), count()))
_CHARACTER_BYTES = {character: byte for byte, character in _CHARACTERS.items()}

_MAX_CACHED_WORDS = 65_536
_MAX_CACHED_WORD_LENGTH = 64


class ClipTokenizer:
    """The published tokenizer: `encode` gives what OpenAI's `clip.tokenize` gives, neither cut nor padded."""

    vocab_size = 49408
    start_token = _SPECIAL_IDS[START]
    end_token = _SPECIAL_IDS[END]
    fingerprint = "clip-bpe-16e6"

    def __init__(self) -> None:
        self._word_ids = _WordIds()

    def encode(self, text: str) -> list[int]:
        """Ids of a text with its start and end tokens, never cut; ValueError when it is not a string."""
        check_is_text(text)
        return self._encode(text)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` of each text; ValueError naming the position of one that is not a string."""
        check_are_texts(texts)
        return [self._encode(text) for text in texts]

    def decode(self, ids: Sequence[int]) -> str:
        """The text up to the first end token: lower case, with a space after each piece that BPE worked on."""
        tokens = _tokens()
        spelling = "".join(tokens[i] for i in readable(ids, self))
        text = bytes(map(_CHARACTER_BYTES.__getitem__, spelling)).decode(errors="replace")
        return text.replace("</w>", " ").rstrip(" ")

    def vocabulary(self) -> dict[str, int]:
        """Every token, spelt as published (`dog</w>`), to its id, in order of ids."""
        return dict(zip(_tokens(), count()))

    def merges(self) -> list[str]:
        """The 48,894 merges, each `left right`, in the order learnt; merge i makes token 512 + i."""
        return list(_merges())

    def _encode(self, text: str) -> list[int]:
        # No piece spans white space, so the ids of a word do not depend on its neighbours.
        words = _clean(text).lower().split()
        return [self.start_token, *chain.from_iterable(map(self._word_ids.__getitem__, words)), self.end_token]


@cache
def clip_tokenizer() -> ClipTokenizer:
    """This process's CLIP tokenizer: one, so that its cache of words is shared."""
    return ClipTokenizer()


class _WordIds(dict[str, tuple[int, ...]]):
    """The ids of each word met, and of the pieces it falls into, computed at their first look-up.

    Emptied when full (common words are soon back); very long words are not kept. Both bound its memory.
    """

    def __missing__(self, word: str) -> tuple[int, ...]:
        pieces = _PIECE.findall(word)
        # Not `len(pieces) == 1`: ignoring case, U+0345 is no letter and no other either, and falls out of its word.
        ids = _bpe(word) if pieces == [word] else tuple(chain.from_iterable(map(self.__getitem__, pieces)))
        if len(word) <= _MAX_CACHED_WORD_LENGTH:
            if len(self) >= _MAX_CACHED_WORDS:
                self.clear()
            self[word] = ids
        return ids


def _clean(text: str) -> str:
    """The text with its Unicode mended and its HTML entities resolved twice, as published."""
    if text.isascii() and text.isprintable() and "&" not in text:
        return text  # nothing to mend (a property test holds it), and importing ftfy takes 30 ms
    from html import unescape

    import ftfy

    return unescape(unescape(ftfy.fix_text(text)))


def _bpe(piece: str) -> tuple[int, ...]:
    """Ids of a piece: of all neighbours that can merge, always the pair learnt first, the leftmost of those.

    A merge makes only pairs that were learnt after it, so a heap meets all pairs in that order. It costs
    O(n log n), where scanning again after each merge costs O(n^2): a paragraph of Chinese is one piece.
    """
    if piece in _SPECIAL_IDS:
        return (_SPECIAL_IDS[piece],)
    merges = _merges()
    symbols = [_CHARACTERS[byte] for byte in piece.encode()]
    ids = [_CHARACTER_IDS[symbol] for symbol in symbols]
    symbols[-1] += "</w>"
    ids[-1] += 256
    # Past the last stands an empty symbol that merges with nothing; index -1 finds it too, so no end is a special case.
    symbols.append("")
    before, after = list(range(-1, len(ids))), [*range(1, len(ids) + 1), -1]

    def merged_id(i: int) -> int | None:
        return merges.get(f"{symbols[i]} {symbols[after[i]]}")

    pairs = [(token, i) for i in range(len(ids)) if (token := merged_id(i))]
    heapify(pairs)
    while pairs:
        token, i = heappop(pairs)
        if merged_id(i) != token:
            continue  # one of the two has since merged with its other neighbour
        j = after[i]
        ids[i], symbols[i], symbols[j] = token, symbols[i] + symbols[j], ""
        after[i], before[after[j]] = after[j], i
        for k in (before[i], i):
            if neighbour := merged_id(k):
                heappush(pairs, (neighbour, k))
    return tuple(token for i, token in enumerate(ids) if symbols[i])


@cache
def _merges() -> dict[str, int]:
    """`left right` to the id of the token they make, in the order learnt."""
    with gzip.open(_VOCABULARY) as file:
        _version, *merges = file.read(_MERGES_END).decode().split("\n")
    return dict(zip(merges, count(512)))


@cache
def _tokens() -> tuple[str, ...]:
    """Each token's spelling, by id: bytes, bytes that end a piece, what the merges make, start and end."""
    endings = (f"{character}</w>" for character in _CHARACTER_IDS)
    return (*_CHARACTER_IDS, *endings, *(pair.replace(" ", "") for pair in _merges()), START, END)
