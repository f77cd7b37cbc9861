"""Results as tables: for the terminal, and for docs/benchmarks.md between two markers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from setting import Row

BEGIN, END = "<!-- results: written by bench/run.py -->", "<!-- end of results -->"
COLUMNS = ("what", "Diptych", "peer", "reached", "aim", "")


def table(rows: list[Row]) -> str:
    """Markdown, its columns aligned so that it can be read as it stands."""
    verdict = {True: "met", False: "**missed**", None: ""}
    lines = [COLUMNS, *((row.what, row.diptych, row.peer, row.reached, row.aim, verdict[row.is_met]) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    written = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([written[0], rule, *written[1:]])


def machine_text(machine: Mapping[str, Any]) -> str:
    lines = [f"- {machine['processor']}, {machine['cores']} cores, {machine['memory_gb']:.0f} GB; {machine['system']}"]
    for name, found in machine["versions"].items():
        lines.append(f"- {name}: " + ", ".join(f"{package} {version}" for package, version in found.items()))
    return "\n".join(lines)


def document(results: Mapping[str, Any], tables: Mapping[str, list[Row]]) -> str:
    """Everything measured, as Markdown: the machine, then a table for each bench with when and under what load."""
    parts = []
    for name, rows in tables.items():
        entry = results[name]
        busy = ", ".join(f"{load:.1f}" for load in entry["load"])
        parts.append(f"### {name}\n\n{entry['when']}; load before and after: {busy}.\n\n{table(rows)}")
    machine = next(iter(results.values()))["machine"]
    return "\n\n".join([machine_text(machine), *parts])


def write_into(path: Path, text: str) -> None:
    """Put `text` between the markers of a page."""
    before, rest = path.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    path.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")
