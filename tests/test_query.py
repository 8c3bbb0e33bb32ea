"""The query language: what it accepts, what it means, and what it says about what it does not accept."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photoindex.errors import QueryInvalid
from photoindex.media.formats import RAW_FORMATS
from photoindex.pure.query import combine, parse, parse_term, split
from photoindex.pure.query.fields import FIELDS, GLOB_FIELDS
from photoindex.pure.query.fields import RAW_FORMATS as RAW_OF_LANGUAGE
from photoindex.pure.query.tree import And, Dates, Field, Near, Not, Number, Or, Phrase, Sum, Term, Text, Word
from photoindex.pure.query.values import bounds, interval
from photoindex.render.text import pointer

TABLE = Path(__file__).parents[1] / "docs" / "query.md"


# --- the table of the documentation ----------------------------------------------------------------------------------


def documented() -> list[tuple[str, str]]:
    """Rows `query | meaning | canonical form` of docs/query.md whose first cell is code; the third as same if empty."""
    rows = re.findall(r"^\| `([^|]+?)` \|[^|]*\| ?(?:`([^|]+?)` )?\|$", TABLE.read_text(), re.MULTILINE)
    return [(query, same or query) for query, same in rows]


@pytest.mark.parametrize(("query", "same"), documented(), ids=[query for query, _ in documented()])
def test_each_row_of_the_documented_grammar_parses_as_it_says(query: str, same: str) -> None:
    assert str(parse(query)) == same
    assert parse(same) == parse(query)


def test_every_field_is_documented() -> None:
    asked = " ".join(query for query, _ in documented())
    assert [name for name in FIELDS if not re.search(rf"(?<!\w){name}:", asked)] == []
    assert len(documented()) > 50


def test_the_raw_formats_are_those_that_the_decoder_knows() -> None:
    assert set(RAW_OF_LANGUAGE) == RAW_FORMATS


# --- structure -------------------------------------------------------------------------------------------------------

w = Word


@pytest.mark.parametrize(
    ("query", "tree"),
    [
        ("", And(())),
        ("beach", w("beach")),
        ("red car", And((w("red"), w("car")))),
        ("red AND car", And((w("red"), w("car")))),
        ("a b OR c", Or((And((w("a"), w("b"))), w("c")))),
        ("a (b OR c)", And((w("a"), Or((w("b"), w("c")))))),
        ("(a OR b) OR c", Or((w("a"), w("b"), w("c")))),
        ("(a (b c))", And((w("a"), w("b"), w("c")))),
        ("-a", Not(w("a"))),
        ("NOT a", Not(w("a"))),
        ("NOT -a", w("a")),
        ("-(a OR b)", Not(Or((w("a"), w("b"))))),
        ("-tag:dog", Not(Field("tag", Text("dog")))),
        ('"no parking"', Phrase("no parking")),
        ("“no parking”", Phrase("no parking")),
        ('tag:"traffic light"', Field("tag", Text("traffic light"))),
        (r'"a \"b\" \\ c"', Phrase('a "b" \\ c')),
        ("or and not", And((w("or"), w("and"), w("not")))),
        ("well-known", w("well-known")),
        ("12:30 3:2", And((w("12:30"), w("3:2")))),
        ("https://a.b/c?d", w("https://a.b/c?d")),
        ("Note: x", And((w("Note:"), w("x")))),
        ('"car:"', Phrase("car:")),
        ("TAG:Dog", Field("tag", Text("Dog"))),
        ("+ beach", w("beach")),
        ("1*beach", w("beach")),
    ],
)
def test_structure(query: str, tree: object) -> None:
    assert parse(query) == tree


@pytest.mark.parametrize(
    ("query", "terms"),
    [
        ("horse + stripes", (Term((w("horse"),)), Term((w("stripes"),)))),
        ("red car - night", (Term((w("red"), w("car"))), Term((w("night"),), minus=True))),
        (
            "beach + sunset.jpg - people",
            (Term((w("beach"),)), Term(like="sunset.jpg"), Term((w("people"),), minus=True)),
        ),
        ("0.5:rain + horse", (Term((w("rain"),), weight=Decimal("0.5")), Term((w("horse"),)))),
        ("2*beach", (Term((w("beach"),), weight=Decimal(2)),)),
        ('1.5*"heavy rain" + x', (Term((Phrase("heavy rain"),), weight=Decimal("1.5")), Term((w("x"),)))),
        ('like:"my cat.png"', (Term(like="my cat.png"),)),
        ("x like:3fa2b1", (Term((w("x"),)), Term(like="3fa2b1"))),
        ("./a.jpg", (Term(like="./a.jpg"),)),
        ("0.3*a.jpg - 2*like:b", (Term(like="a.jpg", weight=Decimal("0.3")), Term((), "b", Decimal(2), minus=True))),
        ("(red car) + b", (Term((w("red"), w("car"))), Term((w("b"),)))),
    ],
)
def test_sums(query: str, terms: tuple[Term, ...]) -> None:
    assert parse(query) == Sum(terms)
    assert split(parse(query)).terms == terms


def test_filters_stand_anywhere_in_a_sum() -> None:
    plan = split(parse("camera:nikon red car + a.jpg date:2023 -tag:dog - people (tag:a OR b)"))
    assert [str(term) for term in plan.terms] == ["red car", "like:a.jpg", "people"]
    assert str(plan.where) == "camera:nikon date:2023 -tag:dog (tag:a OR b)"


def test_a_word_that_only_looks_like_a_weight_or_a_picture_is_a_word_outside_of_sums() -> None:
    for query in ("0.5:rain", "sunset.jpg", "C++", "a+b", "50%", "ice-cream"):
        assert parse(query) == w(query)


@pytest.mark.parametrize(
    ("query", "texts", "where"),
    [
        ("beach camera:nikon", ("beach",), "camera:nikon"),
        ("(red OR blue) car", ("red car", "blue car"), "None"),
        ("dog OR cat", ("dog", "cat"), "None"),
        ("dog OR tag:cat", (), "dog OR tag:cat"),
        ("(tag:dog OR text:receipt) -camera:nikon beach", ("beach",), "(tag:dog OR text:receipt) -camera:nikon"),
        ('"no parking" sign', ("no parking sign",), '"no parking"'),
        ("beach -people", ("beach",), "-people"),
        ('"a" OR "b"', (), '"a" OR "b"'),
    ],
)
def test_what_ranks_and_what_filters(query: str, texts: tuple[str, ...], where: str) -> None:
    plan = split(parse(query))
    assert (plan.texts, str(plan.where)) == (texts, where)


def test_too_many_alternatives_are_refused_and_do_not_take_all_memory() -> None:
    with pytest.raises(QueryInvalid, match="more than 16 searches"):
        split(parse(" ".join(f"(a{n} OR b{n} OR c{n})" for n in range(60))))


# --- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("iso:1600", Number("=", Decimal(1600))),
        ("iso:>1600", Number(">", Decimal(1600))),
        ("iso:100..400", Number("..", Decimal(100), Decimal(400))),
        ("iso:100..", Number(">=", Decimal(100))),
        ("iso:..400", Number("<=", Decimal(400))),
        ("month:may", Number("=", Decimal(5))),
        ("month:Dec", Number("=", Decimal(12))),
        ("month:11..2", Number("..", Decimal(11), Decimal(2))),
        ("date:2023", Dates("=", "2023")),
        ("date:2023-5..2023-08", Dates("..", "2023-05", "2023-08")),
        ("date:>=2023-05", Dates(">=", "2023-05")),
        ("near:48.85,2.35~10km", Near(Decimal("48.85"), Decimal("2.35"), Decimal(10))),
        ("near:-48,2~500m", Near(Decimal(-48), Decimal(2), Decimal("0.5"))),
        ("near:1,2", Near(Decimal(1), Decimal(2), Decimal(1))),
        ("name:IMG_*", Text("IMG_*", glob=True)),
        ('name:"IMG_*"', Text("IMG_*")),
        ("format:RAW", Text("raw")),
    ],
)
def test_values(query: str, value: object) -> None:
    found = parse(query)
    assert isinstance(found, Field)
    assert found.value == value


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("f:2.8", (2.75, 2.85, False, True)),
        ("mm:50", (49.5, 50.5, False, True)),
        ("iso:>1600", (1600, None, True, False)),
        ("iso:<=1600", (None, 1600, False, False)),
        ("iso:100..400", (100, 400, False, False)),
    ],
)
def test_equal_means_equal_at_the_precision_typed(query: str, expected: tuple[object, ...]) -> None:
    found = parse(query)
    assert isinstance(found, Field)
    assert isinstance(found.value, Number)
    assert bounds(found.value) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("query", "first", "last"),
    [
        ("date:2023", datetime(2023, 1, 1), datetime(2024, 1, 1)),
        ("date:2023-12", datetime(2023, 12, 1), datetime(2024, 1, 1)),
        ("date:2024-02-29", datetime(2024, 2, 29), datetime(2024, 3, 1)),
        ("date:2023-05..2023-08", datetime(2023, 5, 1), datetime(2023, 9, 1)),
        ("date:2023-05-01T14:30", datetime(2023, 5, 1, 14, 30), datetime(2023, 5, 1, 14, 31)),
        ("date:>2023", datetime(2024, 1, 1), None),
        ("date:<=2023", None, datetime(2024, 1, 1)),
        ("after:2023", datetime(2023, 1, 1), None),
        ("before:2023-05", None, datetime(2023, 5, 1)),
        ("date:9999", datetime(9999, 1, 1), None),
    ],
)
def test_intervals_of_dates(query: str, first: datetime | None, last: datetime | None) -> None:
    found = parse(query)
    assert isinstance(found, Field)
    assert isinstance(found.value, Dates)
    assert interval(found.name, found.value) == (first, last)


# --- what is wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "place", "says"),
    [
        ("beach tga:dog", "tga:dog", "Did you mean tag:?"),
        ("colour:red", "colour:red", "There is no field 'colour'"),
        ("beach car:", "car:", "Did you mean camera:?"),
        ("is:screnshot", "is:screnshot", "Did you mean is:screenshot?"),
        ("has:face", "has:face", "Did you mean has:faces?"),
        ("format:jpge", "format:jpge", "Did you mean format:jpg?"),
        ("month:octubre", "month:octubre", "Did you mean october?"),
        ("iso:high", "iso:high", "is no number"),
        ("iso:400..100", "iso:400..100", "400 is more than 100"),
        ("date:2023-13", "date:2023-13", "is no date"),
        ("date:0000", "date:0000", "is no date"),
        ("date:2024..2023", "date:2024..2023", "later"),
        ("after:>2023", "after:>2023", "is no date"),
        ("near:paris", "near:paris", "degrees"),
        ("near:91,0", "near:91,0", "-90 to 90"),
        ("a (b OR c", "(", "never closed"),
        ("a) b", ")", "closes nothing"),
        ('say "no', '"no', "never closed"),
        ("a OR", "OR", "lower case"),
        ("AND a", "AND", "lower case"),
        ("a NOT", "NOT", "lower case"),
        ("()", ")", "Nothing stands before"),
        ("a tag: dog", "tag:", "needs a value"),
        ("a +", "+", "Nothing follows"),
        ("a + - b", "+", "Nothing follows"),
        ("(a + b) c", "+", "belongs to a sum"),
        ("a + b OR c", "+", "belongs to a sum"),
        ("-like:a.jpg", "like:a.jpg", "belongs to a sum"),
        ("(like:a OR b)", "like:a", "belongs to a sum"),
        ("a 2*b + c", "2*b", "before a whole term"),
        ("2*tag:dog", "2*tag:dog", "this is a filter"),
        ("x - a.jpg dog", "x - a.jpg dog", ""),
        ("x + ./a.jpg dog", "dog", "Put + or -"),
        ('-"!?"', '"!?"', "no letter or digit"),
        ("camera:!", "camera:!", "letter or a digit"),
    ],
)
def test_errors_show_the_place_and_help(query: str, place: str, says: str) -> None:
    if not says:
        assert parse(query)
        return
    with pytest.raises(QueryInvalid, match=re.escape(says)) as caught:
        parse(query)
    first, last = caught.value.at
    assert query[first:last] == place
    assert caught.value.query == query


def test_deep_and_long_queries_are_refused() -> None:
    with pytest.raises(QueryInvalid, match="40 deep"):
        parse("(" * 1000 + "a" + ")" * 1000)
    with pytest.raises(QueryInvalid, match="longer than"):
        parse("a" * 5000)
    assert parse("-" * 3999 + "a") == Not(w("a"))


# --- terms of options ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("night sky", Term((w("night sky"),))),
        ("2:golden retriever", Term((w("golden retriever"),), weight=Decimal(2))),
        ("0.5*rain", Term((w("rain"),), weight=Decimal("0.5"))),
        ("my sunset.jpg", Term(like="my sunset.jpg")),
    ],
)
def test_terms_as_options_give_them(text: str, term: Term) -> None:
    assert parse_term(text) == term


def test_options_add_filters_and_terms() -> None:
    filters = [Field("tag", Text("dog"))]
    assert str(combine(parse("beach -cat"), filters)) == "beach -cat tag:dog"
    assert str(combine(parse("red car -cat"), filters, [Term(like="a.jpg")])) == "red car + like:a.jpg -cat tag:dog"
    assert str(combine(parse("a + b"), (), [parse_term("2:c", minus=True)])) == "a + b - 2*c"
    assert str(combine(parse("tag:x"), (), [Term(like="a.jpg")])) == "like:a.jpg tag:x"


# --- where something is wrong ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "at", "lines"),
    [
        ("beach tga:dog x", (6, 13), ["  beach tga:dog x", "        ^^^^^^^"]),
        ("猫 foo:bar", (2, 9), ["  猫 foo:bar", "     ^^^^^^^"]),
        ("\x1b[31m foo:bar", (6, 13), ["  \\x1b[31m foo:bar", "           ^^^^^^^"]),
        ("e\u0301 x", (3, 4), ["  e\u0301 x", "    ^"]),
        ("a" * 100 + " tga:x", (101, 106), ["  … " + "a" * 59 + " tga:x", " " * 64 + "^^^^^"]),
    ],
)
def test_a_caret_stands_below_what_is_wrong(text: str, at: tuple[int, int], lines: list[str]) -> None:
    assert pointer(text, at) == lines


# --- whatever is typed -----------------------------------------------------------------------------------------------

LUMPS = [
    "AND",
    "OR",
    "NOT",
    "(",
    ")",
    '"',
    "-",
    "+",
    " ",
    "  ",
    ":",
    "*",
    "..",
    "\\",
    "“",
    "”",
    "„",
    "'",
    "%",
    "\0",
    "\n",
]
LUMPS += [
    "a",
    "beach",
    "2*",
    "0.5:",
    "x.jpg",
    "./x.png",
    "~10km",
    "2023-05",
    ">",
    "<=",
    "1600",
    "48.85,2.35",
    "猫",
    "🍕",
]
LUMPS += [f"{name}:" for name in FIELDS] + [f"{name}:{spec.example}" for name, spec in FIELDS.items()]
LUMPS += ["'; DROP TABLE photos; --", "\udcff", "e\u0301", "\u202e", "https://", "foo:bar", "=", "#", "@", "&", "/"]
typed = st.lists(st.one_of(st.sampled_from(LUMPS), st.text(max_size=4)), max_size=14).map("".join) | st.lists(
    st.sampled_from(LUMPS), max_size=10
).map(" ".join)


@settings(max_examples=600, deadline=None)
@given(typed)
def test_whatever_is_typed_parses_and_round_trips_or_is_a_query_invalid(query: str) -> None:
    try:
        tree = parse(query)
    except QueryInvalid as error:
        first, last = error.at
        assert 0 <= first < last <= len(query)
        return
    assert parse(str(tree)) == tree
    assert str(parse(str(tree))) == str(tree)


def values_of(name: str) -> st.SearchStrategy[object]:
    spec = FIELDS[name]
    if spec.kind == "number":
        numbers = st.decimals(1, 12, places=1) if name != "month" else st.integers(1, 12).map(Decimal)
        return st.builds(Number, st.sampled_from(["=", "<", "<=", ">", ">="]), numbers)
    if spec.kind == "choice":
        return st.sampled_from(spec.choices).map(Text)
    if spec.kind == "moment":
        return st.dates().map(lambda date: Dates("=", f"{date:%Y-%m-%d}".zfill(10)))
    if spec.kind == "date":
        dates = st.dates().map(lambda date: f"{date.year:04}-{date.month:02}-{date.day:02}")
        return st.builds(Dates, st.sampled_from(["=", "<", ">="]), dates)
    if spec.kind == "near":
        return st.builds(
            Near, st.decimals(-90, 90, places=3), st.decimals(-180, 180, places=3), st.just(Decimal("0.5"))
        )
    words = st.text(st.characters(codec="utf-8"), max_size=8).map(lambda text: f"a{text}")
    return words.map(lambda text: Text(text, False)) if name not in GLOB_FIELDS else words.map(Text)


words = st.from_regex(r"[a-z]{1,6}", fullmatch=True).map(Word)
phrases = st.text(st.characters(codec="utf-8"), max_size=8).map(lambda text: Phrase(f"x{text}"))
fields = st.sampled_from([n for n in FIELDS if n != "like"]).flatmap(
    lambda name: values_of(name).map(lambda v: Field(name, v))
)  # type: ignore[arg-type]
leaves = words | phrases | fields
trees = st.recursive(
    leaves | leaves.map(Not),
    lambda inner: st.one_of(
        st.lists(inner.filter(lambda n: not isinstance(n, And)), min_size=2, max_size=4).map(lambda p: And(tuple(p))),
        st.lists(inner.filter(lambda n: not isinstance(n, Or)), min_size=2, max_size=4).map(lambda p: Or(tuple(p))),
        inner.filter(lambda n: not isinstance(n, Not)).map(Not),
    ),
    max_leaves=12,
)


@settings(max_examples=250, deadline=None)
@given(trees)
def test_every_tree_is_what_its_text_parses_to(tree: object) -> None:
    text = str(tree)
    if len(text) < 4000:
        assert parse(text) == tree
