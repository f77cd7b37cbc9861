"""What a query means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.library.query import Photo, Picture, QueryError, Term, Words, parse_query


@pytest.mark.parametrize(
    ("query", "terms"),
    [
        ("two dogs in snow", [Term(Words("two dogs in snow"))]),
        ("dog + snow", [Term(Words("dog")), Term(Words("snow"))]),
        ("dog - snow", [Term(Words("dog")), Term(Words("snow"), -1)]),
        ("- snow", [Term(Words("snow"), -1)]),
        ("2:dog + 0.5:snow", [Term(Words("dog"), 2), Term(Words("snow"), 0.5)]),
        ("dog - .5:snow", [Term(Words("dog")), Term(Words("snow"), -0.5)]),
        ("a well-lit child's room", [Term(Words("a well-lit child's room"))]),
        ("c++ and c-sharp", [Term(Words("c++ and c-sharp"))]),
        ("-20 degrees", [Term(Words("-20 degrees"))]),
        ('"black + white" - "2:1"', [Term(Words("black + white")), Term(Words("2:1"), -1)]),
        (r'"say \"hi\" \\ + x"', [Term(Words(r'say "hi" \ + x'))]),
        ('a "big" dog', [Term(Words('a "big" dog'))]),
        ('5" disk', [Term(Words('5" disk'))]),
        ("img:a b.jpg + photo:17", [Term(Picture("a b.jpg")), Term(Photo(17))]),
        ('2:img:"a - b.jpg" - 3:photo:4', [Term(Picture("a - b.jpg"), 2), Term(Photo(4), -3)]),
        ("dog  +\tcat", [Term(Words("dog")), Term(Words("cat"))]),
        ("imgage: x", [Term(Words("imgage: x"))]),
        ("note: a dog", [Term(Words("note: a dog"))]),
    ],
)
def test_a_query_is_its_terms(query: str, terms: list[Term]) -> None:
    assert parse_query(query) == tuple(terms)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (" ", "The query is empty"),
        ("dog +  - cat", "A term is empty"),
        ("dog +", "A term is empty"),
        ("+ dog", "A term is empty"),
        ("-", "A term is empty"),
        ("0:dog", "The weight 0 is not from 0.001 to 1,000"),
        ("2:", "A term is empty"),
        ('""', "A term is empty"),
        ("img:", "A term is empty"),
        ("photo:cat", "photo:cat is not a photo: write the number of one, such as photo:17"),
        ("photo:99999999999999999999", "is not a photo"),
        (" + ".join("abc" * 11), "The query has 33 terms; 32 are the most"),
    ],
)
def test_what_says_nothing_is_refused(query: str, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        parse_query(query)


@given(st.text(min_size=1).filter(str.strip))
def test_anything_in_quotes_is_words(text: str) -> None:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    assert parse_query(f'"{escaped}"') == (Term(Words(text)),)
