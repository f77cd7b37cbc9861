"""What the numbers were measured on."""

import os
import platform
from pathlib import Path
from typing import Any

from environments import versions
from setting import Setting


def describe_machine(setting: Setting) -> dict[str, Any]:
    pythons = {"Diptych": setting.python, "open_clip": setting.open_clip, "transformers": setting.transformers}
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9,
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {name: versions(python) for name, python in pythons.items()},
    }


def _processor() -> str:
    """The name, and the instructions that matrix products use."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = fields.get("flags", "").split()
    used = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    family = f"family {fields.get('cpu family', '?')} model {fields.get('model', '?')}"
    return f"{fields.get('model name', platform.machine())} ({family}; {', '.join(used)})"
