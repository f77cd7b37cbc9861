"""Lists as people write them into files."""

from pathlib import Path

import pytest

from diptych.lists import read_list


def test_lines_are_stripped_and_blank_ones_and_comments_left_out(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_bytes(b"\xef\xbb\xbf dog \r\n\r\n# a comment\ncat # and dog\n")
    assert read_list(file, kind="labels") == ["dog", "cat # and dog"]


def test_json_is_whatever_it_holds(tmp_path: Path) -> None:
    file = tmp_path / "list.JSON"
    file.write_text('{"dog": ["a dog", "# a hound"]}')
    assert read_list(file, kind="labels") == {"dog": ["a dog", "# a hound"]}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.txt", None, r"^The words file .*none\.txt cannot be read: No such file or directory\.$"),
        ("latin.txt", b"caf\xe9", r"^The words file .*latin\.txt cannot be read: 'utf-8' codec"),
        ("broken.json", b"[", r"^The words file .*broken\.json is not JSON: "),
        ("deep.json", b"[" * 100_000, r"^The words file .*deep\.json is not JSON: "),
    ],
)
def test_what_is_no_list_is_said_by_its_kind(name: str, content: bytes | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_list(tmp_path / name, kind="words")
