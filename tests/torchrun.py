"""`diptych train` in one process, or in several that torchrun starts."""

import os
import subprocess
import sys
from pathlib import Path

import tomlkit


def start(processes: int, folder: Path, config: dict[str, object], *options: str) -> subprocess.Popen[str]:
    """The command on its way, its config written to the folder."""
    path = folder / f"{processes}.toml"
    path.write_text(tomlkit.dumps(config), encoding="utf-8")
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m", "diptych"]
    command = [sys.executable, *(torchrun if processes > 1 else ["-m", "diptych"]), "train", str(path), *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def run_with(processes: int, folder: Path, config: dict[str, object], *options: str) -> None:
    """The same, waited for; it must end well."""
    process = start(processes, folder, config, *options)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
