"""An answer of each operation that answers JSON, as OpenAPI shows it."""

from typing import Any, Final

_MODEL: Final = {
    "id": "postcard",
    "object": "model",
    "created": 1_795_286_939,
    "owned_by": "diptych",
    "embed_dim": 256,
    "image_size": [128, 128],
    "context_length": 77,
    "dtype": "float32",
    "fingerprint": "75c01af648ff4a2c",
}
_JOB: Final = {
    "id": "24e50023ed0f69d0",
    "state": "running",
    "roots": ["holiday"],
    "total": 2_340,
    "done": 512,
    "failed": 1,
    "moved": 3,
    "removed": 0,
    "rate": 31.5,
    "eta_seconds": 58.0,
    "started_at": "2026-11-21T18:48:59.752000Z",
    "ended_at": None,
    "detail": "",
}
_LABEL_SET: Final = {
    "name": "pets",
    "labels": ["dog", "cat"],
    "templates": "a photo of a {}.",
    "created_at": "2026-11-21T18:48:59.752000Z",
}
_PHOTO: Final = {
    "id": 17,
    "name": "2024/beach.jpg",
    "root": "holiday",
    "width": 4032,
    "height": 3024,
    "taken_at": "2024-05-31T18:20:05",
    "text": None,
    "fields": None,
}
_HIT: Final = {**_PHOTO, "score": 0.31, "relevance": 0.93, "matches": True, "second": None}
_RANKED: Final = [
    {"name": "something red", "probability": 0.996, "cosine": 0.466},
    {"name": "a cat", "probability": 0.004, "cosine": 0.265},
]
_UNREADABLE: Final = {
    "type": "urn:diptych:problem:image-unreadable",
    "title": "The image cannot be read",
    "status": 422,
    "detail": "image 1: its base64 is broken",
}
ANSWERS: Final[dict[str, dict[str, Any]]] = {
    "classify": {
        "model": "postcard",
        "results": [
            {"index": 0, "labels": _RANKED, "none_of_these": 0.12, "fits": True},
            {"index": 1, "error": _UNREADABLE},
        ],
    },
    "create_embeddings": {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.051, -0.149, 0.004]}],
        "model": "postcard",
        "usage": {"prompt_tokens": 6, "total_tokens": 6},
    },
    "compare": {
        "model": "postcard",
        "cosines": [[0.445, 0.025], None],
        "logit_scale": 27.5,
        "errors": [{"index": 1, "error": _UNREADABLE}],
    },
    "search_photos": {"hits": [_HIT], "nothing_matches": False},
    "find_similar": {"hits": [{**_HIT, "relevance": None, "matches": None}], "nothing_matches": None},
    "get_photo": {
        **_PHOTO,
        "camera": "Leica Q3",
        "format": "JPEG",
        "seconds": None,
        "moments": [],
        "size": 4_812_034,
        "latitude": 48.86,
        "longitude": 2.35,
    },
    "describe_library": {
        "photos": 2_340,
        "model": "postcard",
        "has_vectors": True,
        "roots": [
            {
                "name": "holiday",
                "kind": "folder",
                "photos": 2_340,
                "failures": 1,
                "scanned_at": "2026-11-21T18:49:59.752000Z",
            }
        ],
        "formats": ["HEIF", "JPEG"],
        "fields": [],
        "cameras": ["Leica Q3"],
        "job": _JOB,
    },
    "list_failures": {
        "failures": [{"root": "holiday", "name": "2024/broken.jpg", "reason": "image file is truncated"}],
        "total": 1,
    },
    "start_indexing": {**_JOB, "total": 0, "done": 0, "failed": 0, "moved": 0, "rate": None, "eta_seconds": None},
    "list_jobs": {"jobs": [_JOB]},
    "get_job": _JOB,
    "stop_job": {**_JOB, "state": "stopped", "eta_seconds": None, "ended_at": "2026-11-21T18:49:15.752000Z"},
    "create_label_set": _LABEL_SET,
    "list_label_sets": {"label_sets": [_LABEL_SET]},
    "get_label_set": _LABEL_SET,
    "list_models": {"object": "list", "data": [_MODEL]},
    "get_model": _MODEL,
    "describe_server": {
        "version": "0.1.0",
        "model": _MODEL,
        "has_library": True,
        "allows_url_fetch": False,
        "needs_login": False,
        "limits": {
            "body_bytes": 32_000_000,
            "images": 64,
            "texts": 2_048,
            "labels": 1_000,
            "text_characters": 2_000,
            "pixels": 50_000_000,
        },
    },
    "is_alive": {"status": "alive"},
    "is_ready": {"status": "ready", "model": "postcard", "ms": 24.5},
}
"""By the operation's id in OpenAPI."""
