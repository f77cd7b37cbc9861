"""`diptych serve` where it cannot: one line that says what to do, and no traceback."""

import os
import socket
import sqlite3
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from command import diptych, run_without_privileges

from diptych import cli
from diptych.library import database
from diptych.library.walk import LIBRARY_FILE
from serve_command import ServeCommand
from served_photos import index, write_photo

Refused = Callable[..., str]


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Refused:
    """The one line of a server that does not start; in this process, since a start takes seconds."""
    monkeypatch.delenv("DIPTYCH_LIBRARY", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "nothing"))
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # which the command line replaces

    def run(*arguments: object, status: int = 1) -> str:
        monkeypatch.setattr(sys, "argv", ["diptych", "serve", "--port", "0", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        lines = said.err.splitlines()
        assert (ended.value.code, said.out, len(lines)) == (status, "", 1), said.err
        assert lines[0].startswith("diptych: ")
        return lines[0]

    return run


def test_a_port_in_use_is_said_before_the_model_is_loaded() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = diptych("serve", "--port", port, "--model", "/nowhere")
    assert (done.returncode, done.stderr.strip()) == (
        1,
        f"diptych: 127.0.0.1:{port} cannot be listened at (address already in use): "
        "choose another with --host and --port.",
    )


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid", "256.0.0.1", "a b"])
def test_an_address_that_is_not_this_machines_is_said(refused: Refused, host: str) -> None:
    assert f"{host}:0 cannot be listened at" in refused("--host", host, "--no-auth")


def test_a_model_that_is_not_there_is_said(refused: Refused, tmp_path: Path) -> None:
    assert "/nowhere" in refused("--model", "/nowhere")
    (tmp_path / "config.json").write_text("{}")
    assert str(tmp_path) in refused("--model", tmp_path)


def _a_file(folder: Path) -> Path:
    path = folder / "file"
    path.write_text("no library")
    return path


def _of_the_system(folder: Path) -> Path:
    return Path("/proc/diptych-library")  # root, as which tests may run, can write to all but such folders


def _damaged(folder: Path) -> Path:
    path = folder / "library"
    database.create(path)
    (path / LIBRARY_FILE).write_bytes(b"SQLite format 3\0" + os.urandom(5_000))
    return path


@pytest.mark.parametrize("make", [_a_file, _of_the_system, _damaged])
def test_a_library_that_cannot_be_used_is_said(refused: Refused, make: Callable[[Path], Path], tmp_path: Path) -> None:
    assert "library" in refused("--library", make(tmp_path))


@pytest.fixture
def indexed(tmp_path: Path) -> Path:
    """A library with a photo in it."""
    write_photo(tmp_path / "photos/cat.jpg", "chelsea")
    return index(tmp_path / "library", tmp_path / "photos")


def test_a_new_library_that_another_process_locks_is_said_within_seconds(refused: Refused, tmp_path: Path) -> None:
    library = tmp_path / "library"
    database.create(library)
    refused("--library", _a_file(tmp_path))  # so that what is timed loads nothing
    with closing(sqlite3.connect(library / LIBRARY_FILE, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        assert "locked" in refused("--library", library)
        assert time.monotonic() - began < 9  # 5, and what the machine has to do besides


def test_a_library_that_another_process_keeps_to_itself_is_said(indexed: Path) -> None:
    with closing(sqlite3.connect(indexed / LIBRARY_FILE, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        done = diptych("serve", "--port", 0, "--library", indexed)
    assert (done.returncode, done.stdout) == (1, "")
    said = f"{indexed / LIBRARY_FILE} is locked by another program: wait until that is done, or end it."
    assert done.stderr == f"diptych: {said}\n"


def test_a_library_that_another_process_writes_to_is_served(indexed: Path) -> None:
    with closing(sqlite3.connect(indexed / LIBRARY_FILE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with ServeCommand("--library", indexed) as server:
            answer = httpx.post(f"{server.url}/v1/search", json={"query": "a cat"}, timeout=30, trust_env=False)
            assert len(answer.json()["hits"]) == 1


@pytest.mark.parametrize("closed", ["folder", "file", "both"])
def test_a_library_that_cannot_be_written_to_is_said(indexed: Path, closed: str) -> None:
    paths = {"folder": [indexed], "file": [indexed / LIBRARY_FILE], "both": [indexed, indexed / LIBRARY_FILE]}[closed]
    modes = {path: path.stat().st_mode for path in paths}
    for path, mode in modes.items():
        path.chmod(mode & ~0o222)
    try:
        done = run_without_privileges("serve", "--port", 0, "--library", indexed)
    finally:
        for path, mode in modes.items():
            path.chmod(mode)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    assert done.stderr.startswith(f"diptych: {indexed}")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--host", "0.0.0.0"], "give keys (--api-key keys.txt), or say that anybody may use it (--no-auth)"),
        (["--root-path", "clip/"], "begins with a / and ends without one"),
        (["--allow-origin", "*"], "one site, https://photos.example.com"),
        (["--allow-origin", "https://a.example/path"], "one site"),
        (["--allow-host", "https://a.example"], "without scheme or port"),
        (["--trust-proxy", "proxy"], "an address, 192.0.2.7, or a network, 172.30.84.0/24, got 'proxy'"),
        (["--trust-proxy", "172.30.84.7/24"], "got '172.30.84.7/24'"),
        (["--root", "holiday"], "a name and a folder"),
        (["--max-body", "0"], "--max-body"),
        (["--no-auth", "--api-key", "env:KEY"], "not both"),
    ],
)
def test_options_that_make_no_sense_are_wrong_usage(
    refused: Refused, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.setenv("KEY", "k" * 20)
    assert said in refused(*arguments, status=2)


def test_a_key_on_the_command_line_is_refused_and_not_repeated(refused: Refused) -> None:
    line = refused("--api-key", "a-key-of-some-length")
    assert "every process of this machine can read it" in line
    assert "a-key-of" not in line


def test_a_key_file_that_all_can_read_is_warned_about(tmp_path: Path) -> None:
    keys = tmp_path / "keys.txt"
    keys.write_text("k" * 20)
    keys.chmod(0o644)
    with ServeCommand("--api-key", keys) as server:
        assert server.wait_for("diptych: All users").string.endswith(f"chmod 600 {keys}")
