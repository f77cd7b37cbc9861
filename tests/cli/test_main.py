"""What every verb shares: help, versions, exit codes, one line for what is wrong, and Ctrl-C."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from command import diptych as run
from command import environment, succeeded
from PIL import Image

import diptych
import formats

VERBS = ("classify", "models", "info", "convert", "cache")


def test_the_version_is_the_packages() -> None:
    assert succeeded("--version") == f"diptych {diptych.__version__}\n"


def test_help_lists_every_verb_and_is_what_no_arguments_give() -> None:
    shown = succeeded("--help")
    assert all(f" {verb} " in shown for verb in VERBS)
    assert succeeded() == shown


@pytest.mark.parametrize("verb", VERBS)
def test_each_verbs_help_has_its_options_and_an_example(verb: str) -> None:
    shown = succeeded(verb, "--help")
    assert f"Example: diptych {verb}" in shown
    assert "--help" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("frobnicate",), "No such command 'frobnicate'. See `diptych --help`."),
        (("models", "--jsno"), "See `diptych models --help`."),
        (("classify",), "Missing argument 'PHOTO...'. See `diptych classify --help`."),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(arguments: tuple[str, ...], message: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("diptych: ")
    assert done.stderr.endswith(f"{message}\n")
    assert done.stderr.count("\n") == 1


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = [sys.executable, "-m", "diptych", "models", "--tags"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""


@pytest.mark.parametrize("photos", [1, 12], ids=["by numpy", "by torch"])
def test_ctrl_c_ends_in_one_line(photos: int, tmp_path: Path) -> None:
    model = formats.tiny_classifier_folder(tmp_path / "model")
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never answers
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/a.jpg"
        arguments = [*[str(tmp_path / "a.png")] * (photos - 1), address, "--labels", "dog,cat", "--model", str(model)]
        command = [sys.executable, "-m", "diptych", "classify", *arguments]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment()) as process:
            silent.settimeout(60)
            connection, _ = silent.accept()
            with connection:
                process.send_signal(signal.SIGINT)
                _, shown = process.communicate(timeout=60)
    assert shown == "diptych: interrupted.\n"
    assert process.returncode == 130
