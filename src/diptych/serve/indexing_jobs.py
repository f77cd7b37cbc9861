"""Runs of the indexer: one at a time, each a process of its own that can be stopped and goes on where it was."""

import asyncio
import json
import secrets
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from diptych.serve import logs
from diptych.serve.indexing_child import Order
from diptych.serve.problems import Problem

State = Literal["running", "done", "failed", "stopped"]
_KEPT: Final = 100  # jobs
_TAIL_BYTES: Final = 4_000  # of stderr
_LINE_BYTES: Final = 1 << 20
_STOP_SECONDS: Final = 20.0  # for what is encoded to be committed; then it is killed
_ANSWER_SECONDS: Final = 3.0  # that who stops a job waits to hear that it has ended


@dataclass(kw_only=True)
class IndexingJob:
    """One run. `roots` are names, times Unix seconds; `detail` says what there is to say once it has ended."""

    roots: Sequence[str]
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    state: State = "running"
    total: int = 0
    done: int = 0
    failed: int = 0
    moved: int = 0
    removed: int = 0
    rate: float | None = None  # files a second
    started_at: float = field(default_factory=time.time)
    ended_at: float | None = None
    detail: str = ""

    @property
    def eta_seconds(self) -> float | None:
        """How long it may still take."""
        return (self.total - self.done) / self.rate if self.state == "running" and self.rate else None


class IndexingJobs:
    """Starts them and follows them. For the thread of the loop."""

    def __init__(self) -> None:
        self._jobs: dict[str, IndexingJob] = {}
        self._run: _Run | None = None

    @property
    def newest_first(self) -> list[IndexingJob]:
        """The last hundred."""
        return list(reversed(self._jobs.values()))

    @property
    def is_running(self) -> bool:
        """Whether one is under way."""
        return self._run is not None and self._run.job.state == "running"

    def find(self, id: str) -> IndexingJob:
        """A job; a Problem for none."""
        if id not in self._jobs:
            detail = "There is no such job: /v1/jobs lists those that there are."
            raise Problem(404, "no-such-job", "No such job", detail)
        return self._jobs[id]

    def start(self, order: Order, roots: Sequence[str], without_paths: Callable[[str], str]) -> IndexingJob:
        """Begin a job; a Problem while another runs. Messages go through `without_paths` before they are kept."""
        if self._run is not None and self.is_running:
            running = self._run.job.id
            detail = f"The job {running} is indexing: wait for its end, or stop it (DELETE /v1/jobs/{running})."
            raise Problem(409, "already-indexing", "Indexing already", detail, items=[{"job": running}])
        job = IndexingJob(roots=roots)
        self._jobs[job.id] = job
        while len(self._jobs) > _KEPT:
            del self._jobs[next(iter(self._jobs))]
        self._run = _Run(job, order, without_paths)
        return job

    async def stop(self, id: str) -> IndexingJob:
        """Have a job keep what is done and end; it may take until its next commit."""
        job = self.find(id)
        if self._run is not None and self._run.job is job:
            await self._run.stop(_ANSWER_SECONDS)
        return job

    async def close(self) -> None:
        """Stop what runs, and wait for it."""
        if self._run is not None:
            await self._run.stop(_STOP_SECONDS + 1)


class _Run:
    """The process of a job, followed to its end."""

    def __init__(self, job: IndexingJob, order: Order, without_paths: Callable[[str], str]) -> None:
        self.job = job
        self._order, self._without_paths = order, without_paths
        self._reading_since: float | None = None
        self._absent: Sequence[str] = ()
        self._must_end = asyncio.Event()
        self._followed = asyncio.create_task(self._follow())

    async def stop(self, patience_seconds: float) -> None:
        """Ask it to end, and wait so long for that."""
        self._must_end.set()
        await asyncio.wait([self._followed], timeout=patience_seconds)

    async def _follow(self) -> None:
        tail, status = "It could not be followed: the server's log says why.", 1
        try:
            tail, status = await self._execute()
        except OSError as error:  # no memory for a process
            tail = str(error)
        except Exception as error:  # noqa: BLE001 (nobody waits for this task: the job would run for ever)
            logs.write("failure", id=self.job.id, **logs.describe(error))
        if status and not self._must_end.is_set():
            logs.write("error", source="indexing", id=self.job.id, detail=tail)
        self.job.ended_at = time.time()
        self.job.detail = self._without_paths(self._detail(tail, status))
        self.job.state = "done" if status == 0 else "stopped" if self._must_end.is_set() else "failed"

    async def _execute(self) -> tuple[str, int]:
        """The end of what the process says on stderr, and its status."""
        process = await self._spawn()
        assert process.stdout is not None
        assert process.stderr is not None
        ending = asyncio.create_task(self._end(process))
        try:
            _, tail, status = await asyncio.gather(
                self._read_reports(process.stdout), _read_tail(process.stderr), process.wait()
            )
        finally:
            ending.cancel()
            with suppress(ProcessLookupError):
                process.kill()  # unless it has ended
        return tail, status

    async def _spawn(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "diptych.serve.indexing_child", self._order.as_text()),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_LINE_BYTES,
            start_new_session=True,  # Ctrl-C is the server's, which passes it on
        )

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        """Once it must end: ask for it, and after a while do not ask. Cancelled when it has ended."""
        await self._must_end.wait()
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
            await asyncio.sleep(_STOP_SECONDS)
            process.kill()

    async def _read_reports(self, stdout: asyncio.StreamReader) -> None:
        while line := await stdout.readline():
            self._note(json.loads(line))

    def _note(self, report: dict[str, Any]) -> None:
        job, now = self.job, time.monotonic()
        job.total, job.done, job.failed = report["total"], report["done"], report["failed"]
        job.moved, job.removed = report["moved"], report["forgotten"]
        self._absent = report["absent_roots"]
        if self._reading_since is None:
            self._reading_since = now
        elif job.done:
            job.rate = job.done / (now - self._reading_since)

    def _detail(self, tail: str, status: int) -> str:
        if status == 0:
            return " ".join(f"{root} is not there, or empty: what is known of it stays." for root in self._absent)
        if self._must_end.is_set():
            return "What was done is kept: index again to go on."
        if status < 0:
            name = signal.Signals(-status).name
            return f"The process that indexes was ended by {name}. What was done is kept: index again to go on."
        return next((line.strip() for line in reversed(tail.splitlines()) if line.strip()), "It failed without a word.")


async def _read_tail(stderr: asyncio.StreamReader) -> str:
    tail = b""
    while block := await stderr.read(_TAIL_BYTES):
        tail = (tail + block)[-_TAIL_BYTES:]
    return tail.decode("utf-8", "replace")
