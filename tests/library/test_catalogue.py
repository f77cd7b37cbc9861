"""Tables of pictures, in every kind of file that they come in, to rows and faults."""

import datetime
import json
import os
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.data.sample import DataError
from diptych.errors import DiptychError
from diptych.library.catalogue import Catalogue, CatalogueError, Row
from diptych.library.cells import AddressImage, BytesImage, FileImage, clean, csv_value

PRODUCTS: list[dict[str, Any]] = [
    {"sku": "007", "photo": "img/boot.jpg", "title": "A boot", "price": 19.9, "sold": True},
    {"sku": "8", "photo": "HTTPS://cdn.example.org/sock.jpg?w=2", "title": "A sock", "price": 5, "sold": False},
]


def rows(path: Path, *columns: str | None, image: str = "photo") -> list[Row]:
    return list(Catalogue(path, image, *columns))


def faults(path: Path, *columns: str | None, image: str = "photo") -> list[str]:
    catalogue = Catalogue(path, image, *columns)
    list(catalogue)
    return catalogue.faults.lines()


def written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_text(text, encoding=encoding, newline="")
    return path


def parquet(path: Path, **columns: Any) -> Path:  # noqa: ANN401 (what pyarrow takes)
    pq.write_table(pa.table(columns), path)
    return path


def product_table(folder: Path, suffix: str) -> Path:
    path = folder / f"products{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist([{**each, "price": float(each["price"])} for each in PRODUCTS]), path)
    elif suffix == ".jsonl":
        written(path, "".join(json.dumps(each) + "\n" for each in PRODUCTS))
    else:
        separator = "\t" if suffix == ".tsv" else ","
        lines = [separator.join(PRODUCTS[0]), *(separator.join(map(str, each.values())) for each in PRODUCTS)]
        written(path, "\n".join(lines))
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_a_table_of_each_kind_gives_the_same_rows(tmp_path: Path, suffix: str) -> None:
    first, second = rows(product_table(tmp_path, suffix), "sku", "title")
    assert (first.number, first.key, first.text) == (1, "007", "A boot")
    assert first.image == FileImage(tmp_path / "img" / "boot.jpg")
    assert second.image == AddressImage("HTTPS://cdn.example.org/sock.jpg?w=2")
    sold = ("True", "False") if suffix in (".csv", ".tsv") else (True, False)
    sku = 8 if suffix in (".csv", ".tsv") else "8"
    assert dict(first.fields) == {"sku": "007", "title": "A boot", "price": 19.9, "sold": sold[0]}
    assert dict(second.fields) == {"sku": sku, "title": "A sock", "price": 5, "sold": sold[1]}
    assert second.json is not None
    assert json.loads(second.json) == dict(second.fields)


def test_without_an_id_the_picture_names_the_row(tmp_path: Path) -> None:
    path = parquet(tmp_path / "t.parquet", photo=pa.array(["a.jpg", "~/b.jpg", "/c.jpg", "http://x/d.jpg"]))
    found = rows(path)
    assert [row.key for row in found] == ["a.jpg", "~/b.jpg", "/c.jpg", "http://x/d.jpg"]
    assert found[1].image == FileImage(Path.home() / "b.jpg")
    assert found[2].image == FileImage(Path("/c.jpg"))
    assert (found[0].text, found[0].json) == (None, None)


def test_pictures_may_be_in_the_table_as_hugging_face_writes_them(tmp_path: Path) -> None:
    cells = [
        {"bytes": b"one", "path": "one.jpg"},
        {"bytes": b"two", "path": None},
        {"bytes": None, "path": "img/three.jpg"},
        {"bytes": None, "path": None},
        None,
    ]
    path = parquet(tmp_path / "hf.parquet", photo=pa.array(cells), label=[1, 2, 3, 4, 5])
    assert [(row.key, row.image) for row in rows(path)] == [
        ("one.jpg", BytesImage(b"one")),
        ("2", BytesImage(b"two")),
        ("img/three.jpg", FileImage(tmp_path / "img" / "three.jpg")),
    ]
    assert faults(path) == ["row 4: it names no picture", "row 5: it names no picture"]
    plain = parquet(tmp_path / "plain.parquet", photo=pa.array([b"one", b"", None]))
    assert [row.image for row in rows(plain)] == [BytesImage(b"one")]


def test_rows_that_cannot_be_used_are_left_out_and_said(tmp_path: Path) -> None:
    table = [
        {"id": 1, "photo": "a.jpg"},
        {"id": 1.0, "photo": "b.jpg"},
        {"id": None, "photo": "c.jpg"},
        {"id": 4, "photo": "  "},
        {"id": 5, "photo": ["d.jpg"]},
        {"id": 6, "photo": "s3://bucket/e.jpg"},
        {"id": 7, "photo": "data:image/png,"},
        {"id": 8},
    ]
    path = written(tmp_path / "t.jsonl", "\n".join(map(json.dumps, table)))
    assert [row.key for row in rows(path, "id")] == ["1"]
    assert faults(path, "id") == [
        "row 2: its key '1' is that of row 1",
        "row 3: it has no id",
        "row 4: it names no picture",
        "row 5: its picture is a list, where a path, an address or bytes belong",
        "row 6: its picture is at 's3://bucket/e.jpg', and only paths, http:// and https:// addresses are read",
        "row 7: its picture is at 'data:image/png,', and only paths, http:// and https:// addresses are read",
        "row 8: it names no picture",
    ]


def test_faults_are_counted_beyond_the_first_thousand(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", "photo,n\n" + ",1\n" * 1_234)
    catalogue = Catalogue(path, "photo")
    for _ in range(2):  # each pass counts anew
        assert list(catalogue) == []
        assert catalogue.faults.count == 1_234
    assert len(catalogue.faults.lines()) == 1_001
    assert catalogue.faults.lines()[-1] == "and 234 more rows"


def test_fields_are_what_json_can_hold(tmp_path: Path) -> None:
    path = parquet(
        tmp_path / "t.parquet",
        photo=["a.jpg"],
        price=[Decimal("19.90")],
        day=[datetime.date(2024, 5, 31)],
        moment=pa.array([datetime.datetime(2024, 5, 31, 18, 20)], pa.timestamp("ns")),
        lasts=[datetime.timedelta(minutes=1.5)],
        tags=[["red", "blue"]],
        colour=pa.array(["red"]).dictionary_encode(),
        nothing=pa.array([None], pa.string()),
        nan=[float("nan")],
        infinite=[float("inf")],
        empty=[""],
        none_of_it=[[]],
        raw=[b"\0"],
        nested=[{"a": 1}],
    )
    [row] = rows(path)
    assert dict(row.fields) == {
        "price": 19.9,
        "day": "2024-05-31",
        "moment": "2024-05-31T18:20:00",
        "lasts": 90.0,
        "tags": ["red", "blue"],
        "colour": "red",
    }


def test_a_text_may_be_a_number_or_several(tmp_path: Path) -> None:
    table = [{"photo": "a.jpg", "text": 7}, {"photo": "b.jpg", "text": ["one", None, "two"]}, {"photo": "c.jpg"}]
    path = written(tmp_path / "t.jsonl", "\n".join(map(json.dumps, table)))
    assert [row.text for row in rows(path, None, "text")] == ["7", "one, two", None]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("0", 0), ("-5", -5), ("19.90", 19.9), ("-0.5", -0.5), ("123456789012345678", 123456789012345678)),
        *(
            (text, text)
            for text in ("007", "+5", "1e5", ".5", "5.", "1,5", "1_000", "1.2.3", "٣", "NaN", "-", "12 EUR")
        ),
        *((text, text) for text in ("1234567890123456789", "1.234567890123456789")),
        (" padded ", "padded"),
        ("", None),
    ],
)
def test_texts_of_a_csv_that_are_plain_numbers_become_numbers(text: str, value: object) -> None:
    assert repr(csv_value(text)) == repr(value)


@given(st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.decimals(allow_nan=False)))
def test_no_number_of_a_csv_is_changed(number: object) -> None:
    value = csv_value(str(number))
    assert str(value) == str(number) or Decimal(str(value)) == Decimal(str(number))


@given(st.text())
def test_what_is_kept_of_a_text_can_be_stored(text: str) -> None:
    kept = clean(text)
    assert "\0" not in kept
    assert kept.encode().decode() == kept


def test_excel_writes_semicolons_and_a_mark_at_the_beginning(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", 'photo;"a; title"\r\n"a.jpg";"one ""1"""\r\n\r\n"b.jpg"\r\n', "utf-8-sig")
    first, second = rows(path)
    assert (first.key, dict(first.fields)) == ("a.jpg", {"a; title": 'one "1"'})
    assert (second.key, dict(second.fields)) == ("b.jpg", {})


def test_columns_without_a_name_are_left_out(tmp_path: Path) -> None:
    path = written(tmp_path / "pandas.csv", ",photo,\n0,a.jpg,x\n")
    assert [dict(row.fields) for row in rows(path)] == [{}]


def test_lines_of_json_may_each_have_columns_of_their_own(tmp_path: Path) -> None:
    path = written(tmp_path / "t.jsonl", '{"photo": "a.jpg"}\n\n{"photo": "b.jpg", "id": "x\\u0000y\\ud800"}\n')
    assert [row.key for row in rows(path, "id")] == ["x y?"]
    assert faults(path, "id") == ["row 1: it has no id"]


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        (
            "t.xlsx",
            b"PK",
            CatalogueError,
            "is not a table that is read: give a .parquet, .csv, .tsv, .jsonl, .ndjson file",
        ),
        ("t.csv", b"", CatalogueError, "has no column 'photo'. It has no columns."),
        ("t.csv", b"image,price\na.jpg,1\n", CatalogueError, "has no column 'photo'. It has: image, price."),
        ("t.jsonl", b'{"image": "a.jpg"}\n', CatalogueError, "has no column 'photo'. It has: image."),
        ("t.csv", b"photo,price,price\na.jpg,1,2\n", CatalogueError, "has 2 columns called 'price'"),
        ("t.csv", b"photo,price\na.jpg,1,50\n", DataError, "line 2: has 3 cells and the header 2; put quotation marks"),
        (
            "t.csv",
            b'photo,price\n"a.jpg,1\n',
            DataError,
            "line 2: unexpected end of data; is a quotation mark not closed?",
        ),
        ("t.csv", b"photo,price\n" + b"x" * (1 << 24) + b"x,1\n", DataError, "line 2: field larger than field limit"),
        ("t.csv", "photo,title\na.jpg,Bär\n".encode("cp1252"), DataError, "is not UTF-8"),
        ("t.csv", "photo,title\na.jpg,b\n".encode("utf-16"), DataError, "is not UTF-8"),
        ("t.jsonl", b'{"photo": "a.jpg"}\n{"photo"', DataError, "line 2: is not JSON"),
        ("t.jsonl", b'["a.jpg"]\n', DataError, "line 1: is not a JSON object"),
        ("t.parquet", b"PAR1 and no more", DataError, "cannot be read as Parquet"),
        ("gone.csv", None, DataError, "cannot be read (No such file or directory)"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_in_a_line(
    tmp_path: Path, name: str, content: bytes | None, error: type[Exception], message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(error) as caught:
        rows(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_times_are_cut_to_microseconds_and_left_out_where_python_has_none(tmp_path: Path) -> None:
    path = parquet(
        tmp_path / "t.parquet",
        photo=["a.jpg", "b.jpg"],
        at=pa.array([2**62, 0], pa.timestamp("us")),
        day=pa.array([2**30, 1], pa.date32()),
        fine=pa.array([1_001, -1], pa.timestamp("ns")),
        zoned=pa.array([1_001, None], pa.timestamp("ns", "UTC")),
        nowhere=pa.array([1, 2], pa.timestamp("us", "Nowhere/Nothing")),
        lasts=pa.array([1_500_000_001, 2**62], pa.duration("ns")),
        hour=pa.array([3_600_000_000_001, 1], pa.time64("ns")),
        several=pa.array([[1_001], []], pa.list_(pa.timestamp("ns"))),
        nested=pa.array([{"at": 1_001}, None], pa.struct([("at", pa.timestamp("ns"))])),
    )
    first, second = rows(path)
    assert dict(first.fields) == {
        "fine": "1970-01-01T00:00:00.000001",
        "zoned": "1970-01-01T00:00:00.000001+00:00",
        "lasts": 1.5,
        "hour": "01:00:00",
        "several": ["1970-01-01T00:00:00.000001"],
    }
    assert second.fields["at"] == "1970-01-01T00:00:00"
    assert second.fields["day"] == "1970-01-02"


def test_a_text_that_is_not_utf_8_is_said_with_the_file(tmp_path: Path) -> None:
    path = parquet(tmp_path / "t.parquet", photo=["a.jpg"], title=pa.array([b"\xff"]).view(pa.string()))
    with pytest.raises(
        DataError, match=r"t\.parquet holds a text that is not UTF-8 \(.*\); write it again as UTF-8\.$"
    ):
        rows(path)


def test_a_pipe_is_refused_rather_than_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "t.csv")
    with pytest.raises(CatalogueError, match=r"t\.csv is not a regular file: save the table in one\.$"):
        rows(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("separator", "values"),
    [(";", [19.9, -0.5, "007,5", "1.234,56", 7, 2.5]), ("|", ["19,90", "-0,5", "007,5", "1.234,56", 7, 2.5])],
)
def test_a_comma_is_in_a_number_where_semicolons_are_between_cells(
    separator: str, values: list[object], tmp_path: Path
) -> None:
    cells = ("19,90", "-0,5", "007,5", "1.234,56", "7", "2.5")
    text = f"photo{separator}price\n" + "".join(f"{i}.jpg{separator}{cell}\n" for i, cell in enumerate(cells))
    assert [row.fields["price"] for row in rows(written(tmp_path / "t.csv", text))] == values


def test_two_columns_that_are_not_there_are_named_together(tmp_path: Path) -> None:
    with pytest.raises(
        CatalogueError, match=r"has no column 'id' and 'words'\. It has: sku, photo, title, price, sold\."
    ):
        rows(product_table(tmp_path, ".csv"), "id", "words")


def test_only_parquet_needs_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = {suffix: product_table(tmp_path, suffix) for suffix in (".csv", ".jsonl", ".parquet")}
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert len(rows(tables[".csv"])) == len(rows(tables[".jsonl"])) == 2
    with pytest.raises(
        DiptychError, match=r"needs pyarrow, which is not installed: .*pip install 'diptych\[library\]'\.$"
    ):
        rows(tables[".parquet"])
