"""An environment for each peer, and what is in it."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
SHOWN = ("torch", "numpy", "pillow", "torchvision", "open_clip_torch", "transformers", "tokenizers")


def make_environment(folder: Path, requirements: Path, base: str = sys.executable) -> str:
    """The Python of a virtual environment of `base` that has these requirements; made unless it is there."""
    python, installed = folder / "bin" / "python", folder / "installed.txt"
    wanted = requirements.read_text()
    if not installed.exists() or installed.read_text() != wanted:
        print(f"Installing {requirements.name} into {folder} (the first time only)", flush=True)
        subprocess.run([base, "-m", "venv", str(folder)], check=True)
        # The Makefile's constraints hold for Diptych, not for its peers.
        environment = {name: value for name, value in os.environ.items() if name != "PIP_CONSTRAINT"}
        install = [str(python), "-m", "pip", "install", "--quiet", "-r", str(requirements)]
        subprocess.run(install, check=True, env=environment)
        installed.write_text(wanted)
    return str(python)


def versions(python: str, names: Sequence[str] = SHOWN) -> dict[str, str]:
    """The versions of those of the packages that this Python has, and its own."""
    code = (
        "import json, sys, platform\n"
        "from importlib.metadata import PackageNotFoundError, version\n"
        "found = {'python': platform.python_version()}\n"
        "for name in sys.argv[1:]:\n"
        "    try: found[name] = version(name)\n"
        "    except PackageNotFoundError: pass\n"
        "print(json.dumps(found))"
    )
    output = subprocess.run([python, "-c", code, *names], check=True, capture_output=True, text=True).stdout
    found: dict[str, str] = json.loads(output)
    return found
