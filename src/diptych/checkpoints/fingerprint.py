"""A name for what a model computes: equal for the same weights in any format, different after any change."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from diptych.checkpoints.checkpoint import Array, Checkpoint, canonical
from diptych.settings import to_dict
from diptych.tokenizer import Tokenizer


def fingerprint(checkpoint: Checkpoint, tokenizer: Tokenizer) -> str:
    """16 hex digits of a SHA-256 over config, preprocessing, tokenizer and the float32 value of every tensor.

    ViT-B/32 takes about 0.3 s, so nothing asks for it that does not need it.
    """
    names = sorted(name for name in checkpoint.tensors if not name.endswith("num_batches_tracked"))
    with ThreadPoolExecutor() as pool:  # hashlib lets go of the interpreter
        digests = list(pool.map(lambda name: _digest(checkpoint.tensors[name]), names))
    described = {
        "model": canonical(checkpoint.config),
        "preprocess": to_dict(checkpoint.preprocess),
        "tokenizer": tokenizer.fingerprint,
        "tensors": dict(zip(names, digests, strict=True)),
    }
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:16]


def _digest(tensor: Array) -> str:
    return hashlib.sha256(float32_array(tensor).reshape(-1).data).hexdigest()


def float32_array(tensor: Array) -> "np.ndarray":
    """A torch tensor or a numpy array as a contiguous float32 array; not copied if it is one already."""
    if not isinstance(tensor, np.ndarray):
        tensor = tensor.detach().float().contiguous().cpu().numpy()
    return np.asarray(tensor, dtype=np.float32, order="C")
