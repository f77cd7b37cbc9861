"""Of the time that a thread spends in torch, how much is matrix products, which nothing here can make faster than their
peak, and how much is everything else.
"""

import json
from typing import Any

from processes import HALVES, run_command
from setting import Row, Setting


def run(setting: Setting) -> dict[str, Any]:
    photos = setting.photos("small", 8 if setting.is_quick else 64)
    measured = run_command(setting.python, HALVES / "profiled.py", setting.weights["diptych"], *photos)
    found: dict[str, Any] = json.loads(measured["output"])
    return found


def rows(result: dict[str, Any]) -> list[Row]:
    return [
        Row(what=f"{items}, {dtype}", reached=", ".join(f"{kind} {share:.0%}" for kind, share in shares.items()))
        for dtype, towers in result.items()
        for items, shares in towers.items()
    ]
