"""A minute of mixed load leaves nothing behind. `scripts/soak_server.py` goes on for an hour."""

from pathlib import Path

from served_holiday import serve_holiday
from soaking import settled, soak
from vital_signs import KEEPS_LITTLE

_SECONDS, _PARTS = 60, 4


def test_a_minute_of_mixed_load_leaves_nothing_behind(tmp_path: Path) -> None:
    with serve_holiday(tmp_path, env=KEEPS_LITTLE) as server:
        load, signs = soak(server, _SECONDS, _PARTS)
        assert load.faults == []
        kinds = {kind for kind, _ in load.answers}
        assert kinds == {"texts", "images", "classify", "search", "photos", "bad", "gone"}
        assert not any(settled(server).values()), settled(server)
        first, last = signs[0], signs[-1]
        # What is kept (texts, the arenas of threads) is there after the first part; what leaks grows in each.
        assert last.memory - first.memory < 50_000_000, [str(each) for each in signs]
        assert last.open_files <= first.open_files + 12, [str(each) for each in signs]
        assert last.threads <= first.threads + 8, [str(each) for each in signs]
        assert any(line.get("status") == 499 for line in server.logs())  # whoever went away was noticed
        assert not [line for line in server.logs() if line["event"] in ("failure", "error")]
        assert server.stop() == 0
