"""A Hugging Face tokenizer.json, for checkpoints whose vocabulary is not CLIP's."""

import json
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from diptych.errors import CheckpointError
from diptych.tokenizer.clip import clip_tokenizer
from diptych.tokenizer.protocol import Tokenizer, check_are_texts, check_is_text, readable

TOKENIZER_FILES = ("tokenizer.json", "special_tokens_map.json", "tokenizer_config.json")
"""The files that make a tokenizer, the last two optional: what to copy to keep it with other weights."""

# How tokenizers spell their start and end, for files that neither add them nor name them.
_USUAL_ENDS = (
    ("<|startoftext|>", "<|endoftext|>"),
    ("<start_of_text>", "<end_of_text>"),
    ("<s>", "</s>"),
    ("<bos>", "<eos>"),
    ("[CLS]", "[SEP]"),
)


def load_tokenizer(folder_or_file: Path | str) -> Tokenizer:
    """The tokenizer of a checkpoint's folder, or of a tokenizer.json.

    CLIP's own when the vocabulary is CLIP's, or when the folder has no tokenizer files, as with OpenAI's weights
    and many of OpenCLIP's. CheckpointError for a file that cannot be used.
    """
    path = Path(folder_or_file)
    file = path / "tokenizer.json" if path.is_dir() else path
    if file.is_file() or not path.is_dir():
        is_clip = _vocabulary(_read_json(file)) == clip_tokenizer().vocabulary()
        return clip_tokenizer() if is_clip else JsonTokenizer(file)
    vocabulary = path / "vocab.json"
    if vocabulary.is_file() and _read_json(vocabulary) != clip_tokenizer().vocabulary():
        raise CheckpointError(
            f"{vocabulary} is not CLIP's vocabulary, and there is no tokenizer.json beside it: "
            "load and save it once with transformers' AutoTokenizer to get one"
        )
    return clip_tokenizer()


class JsonTokenizer:
    """A tokenizer.json run by the `tokenizers` package, with the cutting and padding it may ask for turned off.

    CheckpointError when the file cannot be read, or does not tell how a text starts and ends.
    """

    def __init__(self, path: Path | str) -> None:
        from tokenizers import Tokenizer as Backend

        self._path = Path(path)
        try:
            data = self._path.read_bytes()
            self._backend = Backend.from_str(data.decode())
            self._backend.no_truncation()
            self._backend.no_padding()
            bare, full = (self._backend.encode("a", add_special_tokens=add).ids for add in (False, True))
        except Exception as error:  # the package raises nothing narrower
            reason = " ".join(str(error).split())
            raise CheckpointError(
                f"{path} is not a usable tokenizer.json ({reason}): save it again with save_pretrained"
            ) from error
        self._adds_ends = len(full) > len(bare)
        self.start_token, self.end_token = self._find_ends(bare, full)
        self.vocab_size = 1 + max(self._backend.get_vocab().values())
        self.fingerprint = f"json-{sha256(data).hexdigest()[:16]}-{self.start_token}-{self.end_token}"

    def encode(self, text: str) -> list[int]:
        """Ids of a text with its start and end tokens, never cut; ValueError when it is not a string."""
        check_is_text(text)
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` of each text, on several threads; ValueError naming the position of one that is not a string."""
        check_are_texts(texts)
        batch = [encoding.ids for encoding in self._backend.encode_batch_fast([_pair_surrogates(t) for t in texts])]
        return batch if self._adds_ends else [[self.start_token, *ids, self.end_token] for ids in batch]

    def decode(self, ids: Sequence[int]) -> str:
        """The text up to the first end token, as the file's own decoder spells it."""
        text: str = self._backend.decode(readable(ids, self), skip_special_tokens=True)
        end_of_word = getattr(self._backend.model, "end_of_word_suffix", None)
        return text.replace(end_of_word, " ").rstrip(" ") if end_of_word else text

    def _find_ends(self, bare: list[int], full: list[int]) -> tuple[int, int]:
        """The start and end tokens: what the file adds to bare ids to make full ones, else what is named beside it."""
        added = len(full) - len(bare)
        if any(full[before : before + len(bare)] == bare for before in range(1, added)):
            return full[0], full[-1]
        for start, end in () if added else (*_named_ends(self._path.parent), *_USUAL_ENDS):
            start_token, end_token = self._backend.token_to_id(start), self._backend.token_to_id(end)
            if start_token is not None and end_token is not None:
                return start_token, end_token
        raise CheckpointError(
            f"{self._path} does not put a start and an end token around a text, and none are named beside it: "
            "name them as bos_token and eos_token in special_tokens_map.json"
        )


def _named_ends(folder: Path) -> Iterator[tuple[str, str]]:
    """The start and end tokens that the files beside a tokenizer.json name."""
    for name in TOKENIZER_FILES[1:]:
        names = _read_json(folder / name) if (folder / name).is_file() else {}
        for start, end in (("bos_token", "eos_token"), ("cls_token", "sep_token")):
            if start in names and end in names:
                yield _spelling(names[start]), _spelling(names[end])


def _spelling(token: object) -> str:
    """A special token's text, which these files give bare or as an object's content; empty for anything else."""
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else ""


def _vocabulary(data: dict[str, Any]) -> dict[str, int] | None:
    """Token to id of a parsed tokenizer.json, added tokens included; None when it is laid out in another way."""
    try:
        added = {token["content"]: token["id"] for token in data.get("added_tokens", [])}
        return {**data["model"]["vocab"], **added}
    except (KeyError, TypeError):
        return None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{path} holds a JSON {type(data).__name__}, not an object: save it again")
    return data


def _pair_surrogates(text: str) -> str:
    """A text that UTF-8 can hold: surrogates joined in pairs, single ones replaced by U+FFFD."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
