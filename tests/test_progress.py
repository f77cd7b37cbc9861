import os
import pty
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

import diptych.progress
from diptych.progress import Progress, track


def _run(code: str, *, on_terminal: bool, speed: int = 100) -> tuple[str, str]:
    """stdout and stderr of a Python process; stderr is a terminal or a pipe, its clock runs 100 times too fast."""
    fast = f"import time; real = time.monotonic; time.monotonic = lambda: {speed} * real()\n"
    ours, theirs = pty.openpty() if on_terminal else os.pipe()
    with subprocess.Popen([sys.executable, "-c", fast + code], stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        stderr = b"".join(_blocks(ours))
        stdout = process.stdout.read() if process.stdout else b""
    assert process.returncode == 0, stderr.decode()
    return stdout.decode(), stderr.decode()


def _blocks(descriptor: int) -> Iterator[bytes]:
    while True:
        try:
            block = os.read(descriptor, 65536)
        except OSError:  # how a terminal ends
            block = b""
        if not block:
            os.close(descriptor)
            return
        yield block


_LONG = """
from diptych.progress import track
for item in track(range(60), total=60, label="Encoding", unit="images"):
    time.sleep(0.5 if item == 59 else 0.005)  # long enough for the line to be drawn before the end
    print(item)
"""


def test_a_terminal_shows_a_live_line_and_stdout_stays_clean() -> None:
    stdout, stderr = _run(_LONG, on_terminal=True)
    assert stdout.split() == [str(item) for item in range(60)]
    assert re.search(r"Encoding .*\d+/60 images, \d+.* images/s, \d+:\d\d left", stderr)
    assert stderr.endswith("\x1b[2K")  # the line is taken away at the end


def test_a_log_gets_a_line_now_and_then() -> None:
    stdout, stderr = _run(_LONG.replace("range(60), total=60", "range(150), total=150"), on_terminal=False)
    assert len(stdout.split()) == 150
    lines = stderr.splitlines()
    assert all(re.fullmatch(r"Encoding: \d+/150 images, \d.* images/s, [\d:]+\d\d( left)?", line) for line in lines)
    assert lines[-1].startswith("Encoding: 150/150 images")
    seconds = sum(60**i * int(part) for i, part in enumerate(reversed(lines[-1].rsplit(", ", 1)[1].split(":"))))
    assert 2 <= len(lines) <= seconds / 30 + 1  # one in 30 seconds, and the last


def test_short_work_shows_nothing_and_does_not_import_rich() -> None:
    code = """
import sys
from diptych.progress import track
for item in track(range(3), total=3, label="Encoding", unit="images"): pass
print("rich" in sys.modules)
"""
    assert _run(code, on_terminal=True, speed=0) == ("False\n", "")  # the clock stands: nothing is shorter


def test_ctrl_c_passes_through_and_restores_the_terminal() -> None:
    code = """
from diptych.progress import track
try:
    for item in track(range(10_000), total=None, label="Reading", unit="files"):
        time.sleep(0.005)
        if item == 40: raise KeyboardInterrupt
except KeyboardInterrupt:
    print("interrupted at", item)
"""
    stdout, stderr = _run(code, on_terminal=True)
    assert stdout == "interrupted at 40\n"
    assert stderr.count("\x1b[?25l") == stderr.count("\x1b[?25h") == 1  # cursor hidden, cursor back


def test_track_yields_everything_and_stops_with_its_source() -> None:
    assert list(track(iter("abc"), total=None, label="x", unit="y")) == ["a", "b", "c"]

    def broken() -> Iterator[int]:
        yield 1
        raise OSError("the source failed")

    with pytest.raises(OSError, match="the source failed"):
        list(track(broken(), total=2, label="x", unit="y"))


def test_progress_of_bytes_counts_from_where_a_download_resumes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with Progress(total=None, label="ViT-B-32.pt", unit="B") as progress:
        progress.update(300_000_000, 354_000_000)
        now += 30
        progress.update(330_000_000, 354_000_000)
    line = "ViT-B-32.pt: 330.0/354.0 MB, 1.0 MB/s, 0:24 left\n"
    captured = capsys.readouterr()
    assert captured.err == line * 2
    assert captured.out == ""


def test_progress_adds_up_over_threads(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(diptych.progress, "_LOG_EVERY_SECONDS", 0.0)
    progress = Progress(total=4000, label="x", unit="items")

    def work() -> None:
        for _ in range(1000):
            progress.advance()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    progress.close()
    progress.close()
    assert capsys.readouterr().err.splitlines()[-1].startswith("x: 4,000/4,000 items")


def test_work_goes_on_when_nobody_reads_stderr() -> None:
    code = """
import sys
from diptych.progress import track
sys.stderr.close()
for stderr in (sys.stderr, None):
    sys.stderr = stderr
    print(sum(1 for item in track(range(100), total=100, label="x", unit="y") if time.sleep(0.004) is None))
"""
    assert _run(code, on_terminal=False)[0] == "100\n100\n"
