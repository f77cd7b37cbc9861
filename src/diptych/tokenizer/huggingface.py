"""The tokenizer's files in a Hugging Face folder, so that transformers loads what Diptych writes."""

import json
from typing import Any

from diptych.tokenizer.clip import END, PIECES, START, clip_tokenizer


def huggingface_files(*, context_length: int = 77) -> dict[str, str]:
    """File name to text: the files from which transformers' AutoTokenizer makes CLIP's tokenizer.

    transformers runs neither ftfy nor html.unescape: curly quotes, ligatures and HTML entities get other ids there
    than OpenAI's and ours, and no file can change that. Ordinary text gets the same ids.
    """
    vocabulary, merges = clip_tokenizer().vocabulary(), clip_tokenizer().merges()
    names = {"bos_token": START, "eos_token": END, "pad_token": END, "unk_token": END}
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": context_length, "do_lower_case": True, **names}
    return {
        "vocab.json": _text(vocabulary),
        "merges.txt": "\n".join(["#version: 0.2", *merges, ""]),
        "tokenizer.json": _text(_tokenizer_json(vocabulary, merges)),
        "tokenizer_config.json": _text(config, indent=2),
        "special_tokens_map.json": _text(names, indent=2),
    }


def _tokenizer_json(vocabulary: dict[str, int], merges: list[str]) -> dict[str, Any]:
    """CLIP's tokenizer in the language of the `tokenizers` package."""
    split = {"type": "Split", "pattern": {"Regex": PIECES}, "behavior": "Removed", "invert": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added_token(token, vocabulary[token]) for token in (START, END)],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "NFC"},
                {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
                {"type": "Lowercase"},
            ],
        },
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": {
            "type": "RobertaProcessing",
            "cls": [START, vocabulary[START]],
            "sep": [END, vocabulary[END]],
            "trim_offsets": False,
            "add_prefix_space": False,
        },
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": END,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "</w>",
            "fuse_unk": False,
            "vocab": vocabulary,
            "merges": merges,
        },
    }


def _added_token(content: str, token: int) -> dict[str, Any]:
    # Normalised, so that it is found in lower-cased text, where the published tokenizer looks for it.
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "special": True}
    return {"id": token, "content": content, **flags}


def _text(data: dict[str, Any], indent: int | None = None) -> str:
    return json.dumps(data, ensure_ascii=False, indent=indent)
