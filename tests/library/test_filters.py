"""Filters on the columns of a catalogue, against a table with the column that a library has for them."""

import json
import re
import sqlite3
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from diptych.images import PICTURE_SUFFIXES
from diptych.library.field_filters import OPERATORS, FieldFilter, parse_field_filter
from diptych.library.filters import FilterError, Filters, check_names
from diptych.library.raw import RAW_SUFFIXES
from diptych.library.video import VIDEO_SUFFIXES

PRODUCTS: list[dict[str, Any]] = [
    {"brand": "Acme", "price": 19.9, "colour": "red", "sold": True, "tags": ["summer", "Beach"]},
    {"brand": "ACME tools", "price": 20, "colour": "blue", "sold": False, "since": "2024-05-31"},
    {"brand": "Öl & Söhne", "price": "on request", "tags": ["winter", "12"], "code": "007"},
    {"code": 7, "price": 9007199254740993},
]
# Whatever SQLite can hold: no lone halves of surrogate pairs, no NUL. The reader leaves none.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


def table(*fields: Mapping[str, Any] | None) -> sqlite3.Connection:
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE photos (id INTEGER PRIMARY KEY, fields TEXT)")
    rows = [(number, None if each is None else json.dumps(each)) for number, each in enumerate(fields)]
    database.executemany("INSERT INTO photos VALUES (?, ?)", rows)
    return database


def found(database: sqlite3.Connection, *filters: FieldFilter) -> list[int]:
    condition, values = Filters(fields=filters).sql()
    return [row[0] for row in database.execute(f"SELECT id FROM photos WHERE {condition} ORDER BY id", values)]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("brand=Acme", [0]),
        ("brand = Acme", [0]),
        ("brand==Acme", [0]),
        ("brand~acme", [0, 1]),
        ("brand~ÖHNE", [2]),
        ("brand!=Acme", [1, 2]),
        ("price<20", [0]),
        ("price<=20", [0, 1]),
        ("price<=+20.00", [0, 1]),
        ("price>19.9", [1, 3]),  # and not "on request", which is after "19.9" as text
        ("price>=2e1", [1, 3]),
        ("price>o", [2]),
        ("tags<=12", []),
        ("code<=7", [3]),
        ("price=19.90", [0]),
        ("price=9007199254740993", [3]),
        ("price=9007199254740992", []),
        ("price~9.9", [0]),
        ("price=on request", [2]),
        ("code=007", [2, 3]),  # the same text, the same number
        ("code=7", [3]),
        ("since>=2024", [1]),
        ("since<2024-06", [1]),
        ("sold=true", [0]),
        ("sold!=true", [1]),
        ("tags=summer", [0]),
        ("tags~BEACH", [0]),
        ("tags!=summer", [2]),
        ("tags=12", [2]),
        ("nothing=1", []),
        ("nothing!=1", []),
    ],
)
def test_a_filter_finds_the_rows_that_it_says(text: str, rows: list[int]) -> None:
    assert found(table(*PRODUCTS, None), parse_field_filter(text)) == rows


@pytest.mark.parametrize("price", ["100,00", "$15", "15 EUR", "", " ", "12", "2024-05", ["1", "$2"], True])
def test_a_text_is_neither_more_nor_less_than_a_number(price: object) -> None:
    for text in ("price<=20", "price<2e1", "price>=1", "price>-5"):
        assert found(table({"price": price}), parse_field_filter(text)) == []
    assert found(table({"price": [15, "15 EUR"]}), parse_field_filter("price<=20")) == [0]


def test_all_filters_must_hold() -> None:
    filters = [parse_field_filter(text) for text in ("price<=20", "brand~acme", "colour!=blue")]
    assert found(table(*PRODUCTS), *filters) == [0]


def test_numbers_may_be_given_as_numbers() -> None:
    assert found(table(*PRODUCTS), FieldFilter(name="price", op="<", value=20)) == [0]
    assert found(table(*PRODUCTS), FieldFilter(name="sold", op="=", value=True)) == [0]


@given(name=TEXTS, value=TEXTS.filter(str.strip), other=TEXTS.filter(str.strip))
@example(name='a"b', value="'; DROP TABLE photos; --", other="x")
@example(name="a\\b.c[0]", value='"', other="\\")
@example(name="$", value="?", other="NULL")
@example(name="a", value="*[^a-z]?", other="b")
def test_any_column_and_any_text_can_be_asked_for(name: str, value: str, other: str) -> None:
    database = table({name: value, f"{name}_": other}, {name: ["x", value]}, {f"{name}x": value}, {name: value + "!"})
    assert found(database, FieldFilter(name=name, op="=", value=value)) == [0, 1]
    assert found(database, FieldFilter(name=name, op="!=", value=value)) == [3]
    assert found(database, FieldFilter(name=name, op="~", value=value)) == [0, 1, 3]


@given(part=TEXTS.filter(str.strip), text=TEXTS)
def test_a_part_is_found_in_either_case_and_nothing_else_is(part: str, text: str) -> None:
    database = table({"a": text + part + text}, {"a": text})
    simple = [sign for sign in part if len(sign.upper()) == 1 == len(sign.upper().lower())]
    upper = "".join(sign.upper() if sign in simple and sign.upper().lower() == sign else sign for sign in part)
    assert found(database, FieldFilter(name="a", op="~", value=upper))[:1] == [0]
    is_part = part.casefold() in text.casefold() or part.upper() in text.upper()
    assert is_part or found(database, FieldFilter(name="a", op="~", value=part)) == [0]


@given(name=TEXTS, value=TEXTS.filter(str.strip), op=st.sampled_from(OPERATORS))
def test_a_filter_in_quotes_is_read_as_it_was_meant(name: str, value: str, op: Any) -> None:  # noqa: ANN401
    def quoted(text: str) -> str:
        return '"' + text.replace("\\", r"\\").replace('"', r"\"") + '"'

    wanted = FieldFilter(name=name, op=op, value=value)
    assert parse_field_filter(f"{quoted(name)}{op}{quoted(value)}") == wanted
    assert parse_field_filter(f" {quoted(name)} {op} {quoted(value)} ") == wanted


def test_quotes_within_a_value_are_its_own() -> None:
    assert parse_field_filter('size=12"').value == '12"'
    assert parse_field_filter("title=A = B").value == "A = B"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is no filter on a column: write a name, a sign and a value, such as brand=Acme"),
        ("brand", "'brand' is no filter on a column"),
        ("=Acme", "'=Acme' is no filter on a column"),
        ("brand=", "The filter on 'brand' says nothing: write a value after the =."),
        ('brand=" "', "The filter on 'brand' says nothing"),
        ('""=Acme', "A filter on a column names it, such as brand=Acme"),
        ("price=<20", "'price=<20' is no filter on a column: its sign is one of =, !=, <, <=, >, >=, ~."),
        ("brand~" + "a" * 4_001, "The filter on 'brand' looks for 4,001 characters: 4,000 are the most."),
        ("brand=\udcff", "The filter on 'brand' is not Unicode text"),
    ],
)
def test_a_filter_that_says_nothing_is_refused_in_a_line(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_field_filter(text)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_an_unknown_operator_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^A filter on a column is by =, !=, <, <=, >, >=, ~, got 'LIKE'\.$"):
        FieldFilter(name="brand", op="LIKE", value="A%")  # type: ignore[arg-type]


def test_the_longest_part_is_looked_for() -> None:
    part = "\U00010400" * 4_000  # four bytes, in either case
    assert found(table({"a": f"x{part.lower()}"}), FieldFilter(name="a", op="~", value=part)) == [0]


@pytest.mark.parametrize(
    ("name", "rows"),
    [("jpg", [1, 2]), ("JPEG", [1, 2]), ("mpo", [2]), ("tif", [3]), ("heic", [4]), ("Png", [5]), ("jpe", [1, 2])],
)
def test_formats_have_the_names_that_files_have(name: str, rows: list[int]) -> None:
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE photos (id INTEGER PRIMARY KEY, format TEXT)")
    formats = ("JPEG", "MPO", "TIFF", "HEIF", "PNG")
    database.executemany("INSERT INTO photos (format) VALUES (?)", [(each,) for each in formats])
    condition, values = Filters(format=name).sql()
    assert [row[0] for row in database.execute(f"SELECT id FROM photos WHERE {condition}", values)] == rows


@pytest.mark.parametrize("date", ["2024", "2024-02", "2024-02-29", "2024-12-31T23", "0001", "2024-12-31T23:59:59"])
def test_a_date_of_the_calendar_is_taken(date: str) -> None:
    assert Filters(since=date).since == Filters(until=date).until == date


@pytest.mark.parametrize(
    "date",
    [
        *("2024-13", "2024-00", "2024-02-30", "2023-02-29", "2024-04-31", "0000"),
        *("2024-05-31T24", "2024-05-31T18:60", "2024-05-31T18:20:60"),
        *("24", "2024-5", "31.5.2024", "yesterday", "", "2024-05-31 18:20", "\u0662\u0660\u0662\u0664"),
    ],
)
def test_a_date_that_is_in_no_calendar_is_refused(date: str) -> None:
    wanted = f" must be a date such as 2024, 2024-05 or 2024-05-31, got {date!r}."
    with pytest.raises(FilterError, match=f"^since{re.escape(wanted)}$"):
        Filters(since=date)
    with pytest.raises(FilterError, match=f"^until{re.escape(wanted)}$"):
        Filters(until=date)


@pytest.mark.parametrize(
    ("since", "until"), [("2024", "2023"), ("2024-06", "2024-05"), ("2024-06-01", "2024-05"), ("2024", "2023-12-31")]
)
def test_an_end_before_the_beginning_is_said(since: str, until: str) -> None:
    with pytest.raises(FilterError, match=f"^No time is since {since} and until {until}: the earlier is since.$"):
        Filters(since=since, until=until)


@pytest.mark.parametrize(("since", "until"), [("2024-05-31", "2024"), ("2024", "2024-01"), ("2024-05", "2024-05")])
def test_a_time_within_another_is_no_contradiction(since: str, until: str) -> None:
    assert Filters(since=since, until=until)


def judge(filters: Filters, *, formats: list[str], columns: list[str]) -> str:
    """What is said of names that there are not."""
    with pytest.raises(FilterError) as caught:
        check_names(filters, formats=lambda: formats, columns=lambda: columns)
    return str(caught.value)


def test_a_column_that_there_is_not_is_named_with_the_nearest() -> None:
    named = Filters(fields=(parse_field_filter("price<5"), parse_field_filter("Color=red")))
    assert judge(named, formats=[], columns=["price", "colour"]) == (
        "There is no column 'Color': did you mean colour? Known are price, colour."
    )
    nothing = Filters(fields=(parse_field_filter("nosuch=x"),))
    assert judge(nothing, formats=[], columns=["price"]) == "There is no column 'nosuch': known are price."
    assert judge(nothing, formats=[], columns=[]) == (
        "There is no column 'nosuch': known are none: they come with a table that is indexed."
    )
    many = [f"column {number}" for number in range(30)]
    assert judge(nothing, formats=[], columns=many).endswith("column 22, column 23 and 6 more.")
    check_names(named, formats=list, columns=lambda: ["price", "Color"])


def test_a_format_that_nothing_is_read_of_is_named_with_the_known_ones() -> None:
    said = judge(Filters(format="jpgg"), formats=["PNG", "SGI"], columns=[])
    assert said.startswith("There is no format 'jpgg': did you mean JPG? Known are PNG, SGI, 3FR, 3G2, ")
    assert "\n" not in said
    check_names(Filters(format="sgi"), formats=lambda: ["SGI"], columns=list)


@pytest.mark.parametrize("suffix", sorted(PICTURE_SUFFIXES | RAW_SUFFIXES | VIDEO_SUFFIXES))
def test_what_files_are_called_is_a_format_whatever_the_library_has(suffix: str) -> None:
    check_names(Filters(format=suffix[1:]), formats=list, columns=list)
