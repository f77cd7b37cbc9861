import functools
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from fake_hub import FakeHub, Repository

import diptych.checkpoints.hub as hub
from diptych.checkpoints.open_clip_tags import OPEN_CLIP_TAGS, Pretrained
from diptych.errors import CheckpointError

CONFIG = {"config.json": b'{"model_type": "clip"}', "preprocessor_config.json": b"{}", "tokenizer.json": b"[]"}
COMMIT, TAGGED = "a" * 40, "b" * 40


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Our cache and the Hub's in a temporary folder, and nothing of this machine's environment."""
    monkeypatch.setenv("DIPTYCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface"))
    for name in ("DIPTYCH_OFFLINE", "HF_HUB_OFFLINE", "HF_TOKEN", "HF_HUB_CACHE", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache"


# ---- the Hub; huggingface_hub reads its environment when it is imported, so each run is a process of its own

_HUB_FILES = """
import json, sys
from diptych.checkpoints.hub import hub_files
from diptych.errors import CheckpointError
for repo, revision in json.loads(sys.argv[1]):
    try:
        print(hub_files(repo, revision=revision))
    except CheckpointError as error:
        print(error)
print("httpx" in " ".join(sys.modules))
"""


def load(*repositories: tuple[str, str | None], endpoint: str, **environment: str) -> tuple[list[str], bool]:
    """For each (repository, revision) the folder or the error's text, and whether an HTTP client was imported."""
    command = [
        sys.executable,
        "-W",
        "error",
        "-W",
        "ignore:org/clip is cached without",
        "-c",
        _HUB_FILES,
        json.dumps(repositories),
    ]
    variables = {**os.environ, "HF_ENDPOINT": endpoint, **environment}
    result = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    *lines, imported = result.stdout.splitlines()
    return lines, imported == "True"


NOWHERE = "http://127.0.0.1:9"


def timed(*repositories: tuple[str, str | None], **environment: str) -> tuple[list[str], float]:
    """What `load` says without a server, and the seconds that it takes."""
    start = time.monotonic()
    lines, _ = load(*repositories, endpoint=NOWHERE, **environment)
    return lines, time.monotonic() - start


def files(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def test_just_what_a_clip_needs_is_fetched_once_and_then_works_without_network() -> None:
    wanted = {**CONFIG, "model.safetensors": b"weights"}
    unwanted = {"README.md": b"#", "pytorch_model.bin": b"a pickle", "tf_model.h5": b"x", "merges.txt": b""}
    with FakeHub({"org/clip": Repository(files=wanted | unwanted)}) as server:
        (folder,), _ = load(("org/clip", None), endpoint=server.url)
        assert files(folder) == wanted
        assert server.fetched() == wanted.keys()
        server.requests.clear()
        (again, by_commit), imported = load(("org/clip", None), ("org/clip", COMMIT), endpoint=server.url)
        assert again == by_commit == folder
        assert server.requests == []
        assert not imported
    for offline in ({}, {"HF_HUB_OFFLINE": "1"}, {"DIPTYCH_OFFLINE": "yes"}):
        assert load(("org/clip", "main"), endpoint=NOWHERE, **offline) == ([folder], False)


def test_one_set_of_weights_is_chosen_by_what_the_repository_is() -> None:
    index = json.dumps({"weight_map": {"a": "model-2.safetensors", "b": "model-1.safetensors"}}).encode()
    shards = {"model-1.safetensors": b"1", "model-2.safetensors": b"2", "model-3.safetensors": b"of no index"}
    open_clip = {"open_clip_config.json": b"{}"}
    both = {"model.safetensors": b"one tower", "open_clip_model.safetensors": b"x", "open_clip_pytorch_model.bin": b"x"}
    pickles = {"pytorch_model.bin": b"x", "open_clip_pytorch_model.bin": b"x"}
    cases = {
        "org/sharded": (
            CONFIG | {"model.safetensors.index.json": index, "pytorch_model.bin": b"x"} | shards,
            "model-1",
        ),
        "org/timm": (CONFIG | open_clip | both, "open_clip_model.safetensors"),
        "org/plain": (CONFIG | both, "model.safetensors"),
        "org/pickled": (CONFIG | pickles, "pytorch_model.bin"),
        "org/open_clip": (open_clip | pickles, "open_clip_pytorch_model.bin"),
    }
    with FakeHub({name: Repository(files=content) for name, (content, _) in cases.items()}) as server:
        folders, _ = load(*((name, None) for name in cases), endpoint=server.url)
    again, imported = load(*((name, None) for name in cases), endpoint=NOWHERE)
    assert again == folders
    assert not imported
    for folder, (content, expected) in zip(folders, cases.values(), strict=True):
        weights = {name for name in files(folder) if not name.endswith("config.json") and name != "tokenizer.json"}
        if expected == "model-1":
            assert weights == {"model.safetensors.index.json", "model-1.safetensors", "model-2.safetensors"}
        else:
            assert weights == {expected}
        assert all(content[name] == body for name, body in files(folder).items())


def test_revisions_are_kept_apart() -> None:
    content = {**CONFIG, "model.safetensors": b"weights"}
    with FakeHub({"org/clip": Repository(files=content, revisions={"v1": TAGGED})}) as server:
        (main, tagged, missing), _ = load(
            ("org/clip", None), ("org/clip", "v1"), ("org/clip", "v2"), endpoint=server.url
        )
        assert (Path(main).name, Path(tagged).name) == (COMMIT, TAGGED)
        assert missing == f"{server.url}/org/clip has no revision 'v2': give a branch, a tag or a commit of it."
    assert load(("org/clip", "v1"), ("org/clip", TAGGED), endpoint=NOWHERE) == ([tagged, tagged], False)


def test_what_cannot_be_had_is_told_in_one_line() -> None:
    repositories = {
        "org/gated": Repository(files={**CONFIG, "model.safetensors": b"x"}, is_gated=True),
        "org/empty": Repository(files={"README.md": b"#", "flax_model.msgpack": b"x"}),
        "org/evil": Repository(
            files={**CONFIG, "model.safetensors.index.json": b'{"weight_map": {"a": "../../../x.safetensors"}}'}
        ),
        "org/broken": Repository(files={**CONFIG, "model.safetensors.index.json": b"[]"}),
    }
    cases = {
        "org/gated": r"\S+/org/gated is gated: accept its terms on that page, log in \(`hf auth login`, or HF_TOKEN\)",
        "org/missing": r"There is no \S+/org/missing, or it is private: check the name, or log in",
        "org/empty": r"org/empty \(revision main\) has no weights of a CLIP: none of .* It has README.md",
        "org/evil": r".*model.safetensors.index.json names shards outside its folder; it is not to be trusted",
        "org/broken": r".*model.safetensors.index.json is not the index of a sharded checkpoint",
        "-org/clip-": r"'-org/clip-' is not a Hub id: ",
    }
    with FakeHub(repositories) as server:
        lines, _ = load(*((name, None) for name in cases), endpoint=server.url)
    assert len(lines) == len(cases)
    for line, pattern in zip(lines, cases.values(), strict=True):
        assert re.match(pattern, line), line


@pytest.mark.parametrize("repo", ["", "a/b/c", "../x", "a/..", "org/cl ip", "/etc", "org/clïp"])
def test_what_is_no_hub_id_is_refused_without_asking(repo: str) -> None:
    with pytest.raises(CheckpointError, match="is not a Hub id; one looks like openai/clip-vit-base-patch32"):
        hub.hub_files(repo)


@pytest.mark.parametrize("revision", ["", "../../x", "/etc/passwd", "a b"])
def test_what_is_no_revision_is_refused_without_asking(revision: str) -> None:
    with pytest.raises(CheckpointError, match="is not a revision; give a branch, a tag or a commit of org/clip"):
        hub.hub_files("org/clip", revision=revision)


def test_without_network_the_error_says_where_it_looked_and_how_to_fetch_elsewhere(tmp_path: Path) -> None:
    remedy = "On a machine with network run `hf download org/clip --revision v1 --local-dir FOLDER`, copy FOLDER here"
    _, of_nothing = timed()  # what starting takes on this machine, as busy as it is
    for environment, reason in (
        ({"HF_HUB_OFFLINE": "1"}, "the network is switched off"),
        ({"DIPTYCH_OFFLINE": "1"}, "the network is switched off"),
        ({}, "fetching it failed: .*Connection refused"),
    ):
        (line,), seconds = timed(("org/clip", "v1"), **environment)
        where = re.escape(f"org/clip (revision v1) is not in the cache {tmp_path}/huggingface/hub, and ")
        assert re.match(f"{where}{reason}.*{re.escape(remedy)}", line), line
        assert seconds < 5 + 6 * of_nothing  # tries with waits between them would take longer


def test_a_cache_that_others_filled_is_completed_with_network_and_used_without(tmp_path: Path) -> None:
    folder = tmp_path / "huggingface" / "hub" / "models--org--clip" / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    (folder.parents[1] / "refs").mkdir()
    (folder.parents[1] / "refs" / "main").write_text(COMMIT)
    content = {**CONFIG, "model.safetensors": b"weights"}
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_bytes(content[name])
    for environment in ({"HF_HUB_OFFLINE": "1"}, {}):  # forbidden, and not there
        assert load(("org/clip", None), endpoint=NOWHERE, **environment)[0] == [str(folder)]
    with FakeHub({"org/clip": Repository(files=content)}) as server:
        assert load(("org/clip", None), endpoint=server.url)[0] == [str(folder)]
        assert server.fetched() == {"preprocessor_config.json", "tokenizer.json"}
    assert files(str(folder)) == content


# ---- single files


class _Served(SimpleHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[str]]]:
    """A base URL with a ViT-B/32 of a few bytes, whose checksum is the table's while the test lasts; what was asked."""
    content = b"a small ViT-B/32"
    sha256 = hashlib.sha256(content).hexdigest()
    (tmp_path / "www" / sha256).mkdir(parents=True)
    (tmp_path / "www" / sha256 / "ViT-B-32.pt").write_bytes(content)
    monkeypatch.setitem(hub.OPENAI_FILES, "ViT-B/32", (f"{sha256}/ViT-B-32.pt", sha256))
    asked: list[str] = []
    handler = type("Handler", (_Served,), {"asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=tmp_path / "www")) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()


def test_openai_names_lead_to_files_with_their_checksum_in_the_url() -> None:
    assert list(hub.OPENAI_FILES) == [
        *("RN50", "RN101", "RN50x4", "RN50x16", "RN50x64"),
        *("ViT-B/32", "ViT-B/16", "ViT-L/14", "ViT-L/14@336px"),
    ]
    for path, sha256 in hub.OPENAI_FILES.values():
        assert re.fullmatch(r"[0-9a-f]{64}", sha256)
        assert path.split("/")[0] == sha256
    with pytest.raises(CheckpointError, match="OpenAI published no 'ViT-B/31'; it published RN50, "):
        hub.openai_file("ViT-B/31")


def test_an_openai_file_is_fetched_once(published: tuple[str, list[str]], cache: Path) -> None:
    base_url, asked = published
    path = hub.openai_file("ViT-B/32", base_url=base_url)
    assert path == cache / "openai" / "ViT-B-32.pt"
    assert path.read_bytes() == b"a small ViT-B/32"
    assert hub.openai_file("ViT-B/32", base_url=NOWHERE) == path
    assert len(asked) == 1


def test_an_openai_file_is_hashed_only_after_it_changed(
    published: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    base_url, asked = published
    path = hub.openai_file("ViT-B/32", base_url=base_url)
    status = path.stat()
    path.write_bytes(b"A SMALL ViT-B/32")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    hub.openai_file("ViT-B/32", base_url=NOWHERE)  # same size and time: believed, at the cost of a look
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    monkeypatch.setenv("DIPTYCH_OFFLINE", "1")
    with pytest.raises(CheckpointError, match=r"ViT-B/32: .*ViT-B-32.pt has another checksum, and the network is"):
        hub.openai_file("ViT-B/32", base_url=base_url)
    monkeypatch.delenv("DIPTYCH_OFFLINE")
    assert hub.openai_file("ViT-B/32", base_url=base_url).read_bytes() == b"a small ViT-B/32"
    assert len(asked) == 2


def test_a_file_put_there_by_hand_is_taken(published: tuple[str, list[str]], cache: Path) -> None:
    (cache / "openai").mkdir(parents=True)
    (cache / "openai" / "ViT-B-32.pt").write_bytes(b"a small ViT-B/32")
    assert hub.openai_file("ViT-B/32", base_url=NOWHERE).read_bytes() == b"a small ViT-B/32"


@pytest.mark.parametrize("switch", ["DIPTYCH_OFFLINE", "HF_HUB_OFFLINE", None])
def test_an_openai_file_that_cannot_be_had_says_where_to_put_it(
    switch: str | None, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if switch:
        monkeypatch.setenv(switch, "1")
    with pytest.raises(CheckpointError) as caught:
        hub.openai_file("ViT-B/32", base_url=NOWHERE)
    message = str(caught.value)
    assert ("network is switched off" if switch else "cannot be reached (Connection refused)") in message
    for part in (f"{cache}/openai/ViT-B-32.pt", f"{NOWHERE}/{hub.OPENAI_FILES['ViT-B/32'][0]}", "and put it there."):
        assert part in message
    assert "\n" not in message


def test_the_tag_of_a_bare_file_is_fetched_and_checked_by_the_beginning_of_its_checksum(
    published: tuple[str, list[str]], cache: Path
) -> None:
    base_url, asked = published
    path, sha256 = hub.OPENAI_FILES["ViT-B/32"]
    good = Pretrained(url=f"{base_url}/{path}", sha256=sha256[:8])
    assert hub.tag_files(good) == hub.tag_files(good) == cache / "open_clip" / "ViT-B-32.pt"
    assert len(asked) == 1
    (cache / "open_clip" / "ViT-B-32.pt").unlink()
    with pytest.raises(CheckpointError, match=r"SHA-256 is \w+\.\.\., not 01234567\.\.\."):
        hub.tag_files(Pretrained(url=f"{base_url}/{path}", sha256="01234567"))


def test_every_open_clip_tag_says_where_its_weights_are() -> None:
    for preset, tags in OPEN_CLIP_TAGS.items():
        assert tags, preset
        for tag, pretrained in tags.items():
            assert re.fullmatch(r"[a-z0-9_]+", tag)
            assert (pretrained.repo is None) != (pretrained.url is None)
            assert pretrained.repo is None or re.fullmatch(r"(laion|apple|timm)/[\w.-]+", pretrained.repo)
    assert sum(map(len, OPEN_CLIP_TAGS.values())) == 70


def test_open_clip_tags_know_the_exceptions_in_activation_and_preprocessing() -> None:
    quick = {(preset, tag) for preset, tags in OPEN_CLIP_TAGS.items() for tag in tags if tags[tag].quick_gelu}
    assert ("ViT-B-32", "laion400m_e32") in quick
    assert ("ViT-B-16", "laion400m_e32") not in quick
    assert ("ViT-H-14", "metaclip_fullcc") in quick
    assert ("ViT-H-14", "metaclip_altogether") not in quick
    assert ("ViT-L-14", "dfn2b") in quick
    assert ("ViT-L-14", "dfn2b_s39b") not in quick
    assert all((preset, "openai") in quick for preset, tags in OPEN_CLIP_TAGS.items() if "openai" in tags)
    assert OPEN_CLIP_TAGS["ViT-L-14"]["laion2b_s32b_b82k"].mean == (0.5, 0.5, 0.5)
    squashed = [
        preset for preset, tags in OPEN_CLIP_TAGS.items() for tag in tags.values() if tag.resize_mode == "squash"
    ]
    assert squashed == ["ViT-H-14", "ViT-H-14-378"]
