"""Published weights to files on disk: OpenAI's, OpenCLIP's tags, and any repository of the Hugging Face Hub."""

import json
import os
import re
import warnings
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from diptych.checkpoints.open_clip_tags import Pretrained
from diptych.errors import CheckpointError, FetchError
from diptych.files import atomic_write, cache_dir, sha256_file
from diptych.progress import Progress

OPENAI_URL = "https://openaipublic.azureedge.net/clip/models"
# Name -> (path below OPENAI_URL, SHA-256).
OPENAI_FILES = {
    name: (f"{sha256}/{file}", sha256)
    for name, file, sha256 in (
        ("RN50", "RN50.pt", "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762"),
        ("RN101", "RN101.pt", "8fa8567bab74a42d41c5915025a8e4538c3bdbe8804a470a72f30b0d94fab599"),
        ("RN50x4", "RN50x4.pt", "7e526bd135e493cef0776de27d5f42653e6b4c8bf9e0f653bb11773263205fdd"),
        ("RN50x16", "RN50x16.pt", "52378b407f34354e150460fe41077663dd5b39c54cd0bfd2b27167a4a06ec9aa"),
        ("RN50x64", "RN50x64.pt", "be1cfb55d75a9666199fb2206c106743da0f6468c9d327f3e0d0a543a9919d9c"),
        ("ViT-B/32", "ViT-B-32.pt", "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af"),
        ("ViT-B/16", "ViT-B-16.pt", "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f"),
        ("ViT-L/14", "ViT-L-14.pt", "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836"),
        ("ViT-L/14@336px", "ViT-L-14-336px.pt", "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02"),
    )
}

# What a CLIP may have beside its weights: all of these are wanted where they exist.
CONFIG_NAMES = (
    "config.json",
    "open_clip_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
)
# Of these one is wanted: the first that exists.
WEIGHT_NAMES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "open_clip_model.safetensors",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "open_clip_pytorch_model.bin",
)


def is_offline() -> bool:
    """Whether the user forbids the network, by DIPTYCH_OFFLINE or HF_HUB_OFFLINE."""
    switches = (os.environ.get(name, "").upper() for name in ("DIPTYCH_OFFLINE", "HF_HUB_OFFLINE"))
    return any(switch in {"1", "ON", "YES", "TRUE"} for switch in switches)


def openai_file(name: str, *, folder: Path | None = None, base_url: str = OPENAI_URL) -> Path:
    """The file of one of OpenAI's nine models, checked against its SHA-256, downloaded if it is not there.

    It is kept in `folder`, or else in our cache. Raises CheckpointError with what was looked for, where, and how to
    fetch it elsewhere.
    """
    if name not in OPENAI_FILES:
        raise CheckpointError(f"OpenAI published no {name!r}; it published {', '.join(OPENAI_FILES)}.")
    path, sha256 = OPENAI_FILES[name]
    return _published_file(name, f"{base_url}/{path}", sha256, folder or cache_dir("openai"))


def is_altered_openai_file(path: Path) -> bool:
    """Whether a file has the name of one of OpenAI's and other bytes: damaged, or not theirs."""
    known = {Path(file).name: sha256 for file, sha256 in OPENAI_FILES.values()}
    return path.name in known and sha256_file(path) != known[path.name]


def tag_files(pretrained: Pretrained) -> Path:
    """The repository folder, or the file, of one of OpenCLIP's tags. Raises CheckpointError as the others do."""
    if pretrained.repo is not None:
        return hub_files(pretrained.repo)
    assert pretrained.url is not None
    return _published_file(pretrained.url.rsplit("/", 1)[1], pretrained.url, pretrained.sha256, cache_dir("open_clip"))


def hub_files(repo: str, *, revision: str | None = None) -> Path:
    """A folder with the configs and one set of weights of a Hub repository at a revision (by default `main`).

    It is in the Hub's standard cache, and what is there whole is taken as it is: a branch that has moved on since is
    followed only when given by a commit, or after `hf download`. Safetensors are preferred to pickles; where there is
    an open_clip_config.json, OpenCLIP's weights to others, because `model.safetensors` beside it may be one tower.
    Raises CheckpointError with what was looked for, where, and what to do.
    """
    revision = "main" if revision is None else revision
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", repo, re.ASCII) or ".." in repo:
        raise CheckpointError(f"{repo!r} is not a Hub id; one looks like openai/clip-vit-base-patch32.")
    if not re.fullmatch(r"\w[\w./-]*", revision, re.ASCII) or ".." in revision:
        raise CheckpointError(f"{revision!r} is not a revision; give a branch, a tag or a commit of {repo}.")
    snapshot = _Snapshot.find(repo, revision)
    if snapshot is not None and snapshot.is_whole():
        return snapshot.folder
    if not is_offline():
        return _download(repo, revision)
    if snapshot is not None and snapshot.is_usable():
        if snapshot.has("preprocessor_config.json") is None and not snapshot.has("open_clip_config.json"):
            warnings.warn(
                f"{repo} is cached without its preprocessor_config.json, so OpenAI's mean, std and resizing are taken: "
                "load it once with network.",
                stacklevel=5,
            )
        return snapshot.folder
    raise CheckpointError(_unavailable(repo, revision, "the network is switched off (DIPTYCH_OFFLINE, HF_HUB_OFFLINE)"))


# ---- single files


def _published_file(name: str, url: str, sha256: str | None, folder: Path) -> Path:
    path = folder / url.rsplit("/", 1)[1]
    if path.is_file() and _is_intact(path, sha256):
        return path
    if is_offline():
        state = "has another checksum" if path.is_file() else "is not there"
        raise CheckpointError(
            f"{name}: {path} {state}, and the network is switched off (DIPTYCH_OFFLINE, HF_HUB_OFFLINE). "
            f"On a machine with network fetch {url} and put it there."
        )
    from diptych.fetch import download  # here: http and ssl take 0.1 s, which a model that is there need not pay

    try:
        with Progress(total=None, label=path.name, unit="B") as progress:
            download(url, path, sha256=sha256, on_progress=progress.update)
    except FetchError as error:
        raise CheckpointError(
            f"{name} is not at {path}, and fetching it failed: {error} "
            "On a machine with network fetch it and put it there."
        ) from error
    _remember(path, sha256)
    return path


def _is_intact(path: Path, sha256: str | None) -> bool:
    """Whether a file has its checksum; it is hashed once, and again only after its size or time has changed."""
    if sha256 is None:
        return True
    with suppress(OSError, ValueError):
        if json.loads(_verified(path).read_text(encoding="utf-8")) == _fingerprint(path, sha256):
            return True
    with Progress(total=None, label=f"Checking {path.name}", unit="B") as progress:
        if not sha256_file(path, on_progress=progress.update).startswith(sha256):
            return False
    _remember(path, sha256)
    return True


def _remember(path: Path, sha256: str | None) -> None:
    with suppress(OSError), atomic_write(_verified(path)) as temporary:  # without it the file is hashed once more
        temporary.write_text(json.dumps(_fingerprint(path, sha256)), encoding="utf-8")


def _verified(path: Path) -> Path:
    return path.with_name(path.name + ".verified")


def _fingerprint(path: Path, sha256: str | None) -> dict[str, int | str | None]:
    status = path.stat()
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "sha256": sha256}


# ---- repositories


@dataclass(frozen=True)
class _Snapshot:
    """One commit of a repository in the Hub's cache, whose layout is documented: refs, snapshots, .no_exist.

    It is read directly: huggingface_hub's own functions take 0.13 s to import, and its HTTP client with them.
    """

    root: Path
    commit: str

    @classmethod
    def find(cls, repo: str, revision: str) -> "_Snapshot | None":
        from huggingface_hub import constants  # the module alone is imported: 10 ms

        root = Path(constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}"
        commit = revision
        with suppress(OSError):
            commit = (root / "refs" / revision).read_text(encoding="utf-8").strip()
        snapshot = cls(root, commit)
        return snapshot if re.fullmatch(r"[0-9a-f]{40}", commit) and snapshot.folder.is_dir() else None

    @property
    def folder(self) -> Path:
        return self.root / "snapshots" / self.commit

    def has(self, name: str) -> bool | None:
        """Whether the commit has a file: True if it is here, False if it is known not to exist, else None."""
        if (self.folder / name).is_file():
            return True
        return False if self._absence(name).is_file() else None

    def is_whole(self) -> bool:
        """Whether all that we want of the commit is here, so that nobody needs to be asked."""
        if any(self.has(name) is None for name in CONFIG_NAMES):
            return False
        for name in _in_order(self.has("open_clip_config.json") is True):
            if self.has(name) is not False:
                return self.has(name) is True and self._has_shards(name)
        return False

    def is_usable(self) -> bool:
        """Whether there are weights and a config; something that we would want may be missing."""
        has_config = any(self.has(name) for name in CONFIG_NAMES[:2])
        return has_config and any(self.has(name) and self._has_shards(name) for name in WEIGHT_NAMES)

    def note_absent(self, names: Iterable[str]) -> None:
        """Note, as huggingface_hub does, that the commit has no such files."""
        with suppress(OSError):  # in a cache that cannot be written to the Hub is asked again next time
            for name in names:
                self._absence(name).parent.mkdir(parents=True, exist_ok=True)
                self._absence(name).touch()

    def _absence(self, name: str) -> Path:
        return self.root / ".no_exist" / self.commit / name

    def _has_shards(self, name: str) -> bool:
        return not name.endswith(".index.json") or all(self.has(shard) for shard in _shards(self.folder / name))


def _in_order(has_open_clip_config: bool) -> list[str]:
    return sorted(WEIGHT_NAMES, key=lambda name: has_open_clip_config and not name.startswith("open_clip"))


def _shards(index: Path) -> list[str]:
    """The files that a sharded checkpoint's index names."""
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise CheckpointError(f"{index} is not the index of a sharded checkpoint: {error!r}.") from error
    if not all(isinstance(name, str) and re.fullmatch(r"\w[\w.-]*", name, re.ASCII) for name in names):
        raise CheckpointError(f"{index} names shards outside its folder; it is not to be trusted.")
    return sorted(names)


def _download(repo: str, revision: str) -> Path:
    from huggingface_hub import errors

    # The HTTP client's own errors come through huggingface_hub as they are; which client that is, its version decides.
    client_error = cast("type[Exception]", errors.HfHubHTTPError.__mro__[1])
    try:
        snapshot = _fetch_snapshot(repo, revision)
    except (OSError, errors.HFValidationError, client_error) as error:
        if isinstance(error, errors.RepositoryNotFoundError | errors.RevisionNotFoundError | errors.HFValidationError):
            raise CheckpointError(_refusal(repo, revision, error)) from error
        found = _Snapshot.find(repo, revision)
        if found is None or not found.is_usable():
            raise CheckpointError(_unavailable(repo, revision, f"fetching it failed: {_first_line(error)}")) from error
        snapshot = found
    return snapshot.folder


def _fetch_snapshot(repo: str, revision: str) -> _Snapshot:
    from huggingface_hub import HfApi, snapshot_download  # 0.3 s, spent only when there is work for it

    info = HfApi().model_info(repo, revision=revision, timeout=10)
    names = {sibling.rfilename for sibling in info.siblings or []}
    weights = _choose_weights(repo, revision, names)
    wanted = [weights, *(name for name in CONFIG_NAMES if name in names)]
    folder = Path(snapshot_download(repo, revision=revision, allow_patterns=wanted))
    if weights.endswith(".index.json"):
        shards = _shards(folder / weights)
        snapshot_download(repo, revision=folder.name, allow_patterns=shards)
        wanted += shards
    snapshot = _Snapshot(folder.parents[1], folder.name)
    if missing := [name for name in wanted if not snapshot.has(name)]:
        # snapshot_download gives what it has, without a word, when it loses the connection.
        raise ConnectionError(f"{', '.join(missing)} did not arrive")
    snapshot.note_absent(name for name in (*CONFIG_NAMES, *WEIGHT_NAMES) if name not in names)
    return snapshot


def _refusal(repo: str, revision: str, error: Exception) -> str:
    from huggingface_hub import constants, errors

    where = f"{constants.ENDPOINT}/{repo}"
    if isinstance(error, errors.GatedRepoError):
        return (
            f"{where} is gated: accept its terms on that page, log in (`hf auth login`, or HF_TOKEN), and load again."
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"There is no {where}, or it is private: check the name, or log in (`hf auth login`, or HF_TOKEN)."
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{where} has no revision {revision!r}: give a branch, a tag or a commit of it."
    return f"{repo!r} is not a Hub id: {_first_line(error)}."


def _choose_weights(repo: str, revision: str, names: set[str]) -> str:
    for name in _in_order("open_clip_config.json" in names):
        if name in names:
            return name
    others = ", ".join(sorted(names)[:8]) or "nothing"
    raise CheckpointError(
        f"{repo} (revision {revision}) has no weights of a CLIP: none of {', '.join(WEIGHT_NAMES)}. It has {others}."
    )


def _unavailable(repo: str, revision: str, reason: str) -> str:
    from huggingface_hub import constants

    at = "" if revision == "main" else f" --revision {revision}"
    return (
        f"{repo} (revision {revision}) is not in the cache {constants.HF_HUB_CACHE}, and {reason}. "
        f"On a machine with network run `hf download {repo}{at} --local-dir FOLDER`, copy FOLDER here and load it."
    )


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:160].rstrip(".") if lines else type(error).__name__
