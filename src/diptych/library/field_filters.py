"""Filters on the columns of a catalogue: `brand=Acme`, `price<=20`, `colour!=red`, `title~shoe`, as SQL.

    filter = name operator value
    operator = "=" | "!=" | "<" | "<=" | ">" | ">=" | "~"

`~` finds a part, in any case. In double quotes a name or a value means itself, whatever is in it, but for \\" and \\\\.
"""

import json
import math
import re
from dataclasses import dataclass
from typing import Final, Literal, get_args

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "~"]
OPERATORS: Final[tuple[Operator, ...]] = get_args(Operator)

_QUOTED: Final = r'"((?:[^"\\]|\\.)*)"'
_FILTER: Final = re.compile(rf"(?:{_QUOTED}|([^=!<>~\"]+))\s*(==|<=|>=|!=|=|<|>|~)\s*(.*)", re.DOTALL)
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_YEAR: Final = re.compile(r"\d{4}", re.ASCII)
_DATE: Final = "[0-9][0-9][0-9][0-9]-[0-9][0-9]*"  # for GLOB
_LONGEST: Final = 4_000  # characters of a part: SQLite takes patterns of 50,000 bytes
_EXAMPLES: Final = 'such as brand=Acme, price<=20, colour!=red or title~shoe; put other signs into quotes: "a=b"=c'


@dataclass(frozen=True, kw_only=True)
class FieldFilter:
    """A column, and what it must hold. Of a list, one of its items must; with `!=` none may.

    Two numbers compare as numbers. Anything else compares as text, by its characters' numbers: dates are in order that
    way. But of less and more than a number only numbers are, and dates of a year of four digits.
    A photo that has no such column, or nothing in it, never passes. Raises ValueError where nothing is asked for.
    """

    name: str
    op: Operator
    value: str | float  # a number may be given as its text

    def __post_init__(self) -> None:
        if self.op not in OPERATORS:
            raise ValueError(f"A filter on a column is by {', '.join(OPERATORS)}, got {self.op!r}.")
        if not self.name:
            raise ValueError(f"A filter on a column names it, {_EXAMPLES}.")
        if not str(self.value).strip():
            raise ValueError(f"The filter on {self.name!r} says nothing: write a value after the {self.op}.")
        if self.op == "~" and len(str(self.value)) > _LONGEST:
            raise ValueError(
                f"The filter on {self.name!r} looks for {len(str(self.value)):,} characters: {_LONGEST:,} are the most."
            )
        try:
            f"{self.name}{self.value}".encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"The filter on {self.name!r} is not Unicode text: write it as UTF-8.") from error

    def sql(self) -> tuple[str, tuple[object, ...]]:
        """A condition over the table photos, and the values of its question marks: nothing of the filter is in it."""
        # By key and not by path: SQLite 3.40 finds no path to a name with a quotation mark or a backslash in it.
        of_scalar, values = self._condition("field")
        of_item, _ = self._condition("item")
        matches = (
            "CASE field.type WHEN 'array' "
            f"THEN EXISTS (SELECT 1 FROM json_each(field.value) AS item WHERE {of_item}) ELSE {of_scalar} END"
        )
        wanted = f"NOT ({matches})" if self.op == "!=" else matches
        condition = f"EXISTS (SELECT 1 FROM json_each(photos.fields) AS field WHERE field.key = ? AND {wanted})"
        return condition, (self.name, *values, *values)

    def _condition(self, item: str) -> tuple[str, tuple[object, ...]]:
        """What one value must be, of a row of json_each."""
        text = f"iif({item}.type IN ('true', 'false'), {item}.type, CAST({item}.atom AS TEXT))"
        value = self.value if isinstance(self.value, str) else json.dumps(self.value)
        if self.op == "~":
            return f"{text} GLOB ?", (_pattern(value),)
        op = "=" if self.op == "!=" else self.op
        number = _number(value)
        if number is None:
            return f"{text} {op} ?", (value,)
        is_number = f"{item}.type IN ('integer', 'real')"
        otherwise = f"{text} {op} ?"
        if op != "=":  # "on request" is no price above 20
            is_date = f"({item}.type = 'text' AND {item}.atom GLOB '{_DATE}')" if _YEAR.fullmatch(value) else "0"
            otherwise = f"{is_date} AND {otherwise}"
        return f"CASE WHEN {is_number} THEN {item}.atom {op} ? ELSE {otherwise} END", (number, value)


def parse_field_filter(text: str) -> FieldFilter:
    """The filter that a text such as `price<=20` stands for. Raises ValueError, in one line."""
    found = _FILTER.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no filter on a column: write a name, a sign and a value, {_EXAMPLES}.")
    quoted, plain, sign, value = found.groups()
    if value[:1] in set("=<>~"):
        raise ValueError(f"{text!r} is no filter on a column: its sign is one of {', '.join(OPERATORS)}.")
    name = plain.strip() if quoted is None else _unescaped(quoted)
    in_quotes = re.fullmatch(_QUOTED, value, re.DOTALL)
    op = next(op for op in OPERATORS if op == sign.replace("==", "="))
    return FieldFilter(name=name, op=op, value=_unescaped(in_quotes[1]) if in_quotes else value)


def _pattern(part: str) -> str:
    """For GLOB: texts with a part, its letters in either case. LIKE knows the cases of ASCII's letters only."""
    return "*" + "".join(map(_either_case, part)) + "*"


def _either_case(sign: str) -> str:
    cases = {sign, *(case for case in (sign.lower(), sign.upper(), sign.casefold()) if len(case) == 1)}
    return f"[{''.join(sorted(cases))}]" if len(cases) > 1 or sign in "*?[" else sign


def _number(text: str) -> float | None:
    """The number that a text is, a whole one exactly."""
    if not _NUMBER.fullmatch(text.strip()):
        return None
    number = float(text)
    if not math.isfinite(number):
        return None
    is_whole = abs(number) < 2**63 and not set(text) & set(".eE")
    return int(text) if is_whole else number


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)
