"""What is said of a run of indexing, in one line and of all that it left out."""

import pytest

from diptych.cli.reports import say_skipped, summarise
from diptych.library.indexing import IndexReport
from diptych.library.paths import Source
from diptych.library.upkeep import Failure


def test_a_run_is_summed_up_with_what_could_not_be_read() -> None:
    assert summarise(IndexReport()) == "no photos"
    report = IndexReport(encoded=1_200, moved=1, copied=2, forgotten=3, unchanged=4, failed=5)
    assert summarise(report) == "1,200 new, 1 moved, 2 copies of known ones, 3 gone, 4 unchanged, 5 not readable"
    assert summarise(IndexReport(copied=1, unchanged=2, described=2)) == (
        "1 copy of a known one, 2 described anew, 2 unchanged"
    )


@pytest.mark.parametrize("has_options", [True, False])
def test_everything_left_out_is_named_or_counted(has_options: bool, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"{number}\n.jpg" for number in range(12)]
    sources = [Source(f"/{name}", root="/", name=name, is_file=True) for name in names]
    failures = [Failure(source=source, reason="\x1b[2Jempty") for source in sources]
    report = IndexReport(
        failed=12,
        changing=1,
        links=2,
        faults=["row 3 names\x1b no picture"],
        unread_folders=["/a"],
        absent_roots=["/b"],
    )
    say_skipped(report, failures, has_options=has_options)
    out, err = capsys.readouterr()
    unread = (
        "12 files could not be read: diptych library failures." if has_options else "2 more files could not be read."
    )
    assert out == ""
    assert err.splitlines() == [
        f"diptych: {line}"
        for line in [
            r"'row 3 names\x1b no picture'",
            *(f"'/{number}\\n.jpg': '\\x1b[2Jempty'" for number in range(10)),
            unread,
            "1 file changed while being read: the same command reads what is there then.",
            f"2 links were not followed{' (--follow-links)' if has_options else ''}.",
            "/a could not be entered; what is known of it stays.",
            "/b is not there, or empty: what is known of it stays. "
            "Moved? diptych library relocate OLD NEW. Gone for good? diptych library remove.",
        ]
    ]
