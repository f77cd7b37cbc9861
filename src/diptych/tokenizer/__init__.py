"""Text to token ids: CLIP's own tokenizer, any Hugging Face tokenizer.json, and rows of one length for the model."""

from diptych.tokenizer.clip import ClipTokenizer, clip_tokenizer
from diptych.tokenizer.huggingface import huggingface_files
from diptych.tokenizer.json_file import TOKENIZER_FILES, JsonTokenizer, load_tokenizer
from diptych.tokenizer.protocol import Tokenizer
from diptych.tokenizer.rows import cut, pad

__all__ = [
    "TOKENIZER_FILES",
    "ClipTokenizer",
    "JsonTokenizer",
    "Tokenizer",
    "clip_tokenizer",
    "cut",
    "huggingface_files",
    "load_tokenizer",
    "pad",
]
