"""The values of fields: from what was typed to records, and from those to bounds that can be compared."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Decimal
from typing import cast

from photoindex.pure.fold import fold
from photoindex.pure.query.fields import FIELDS, GLOB_FIELDS, MONTHS, FieldSpec, did_you_mean, nearest
from photoindex.pure.query.tree import Dates, Near, Number, Operator, Text, Value

_COMPARED = re.compile(r"(<=|>=|<|>|=)?(.*)", re.DOTALL)
_NUMBER = re.compile(r"-?\d{1,9}(?:\.\d{1,6})?", re.ASCII)
_DATE = re.compile(r"(\d{4})(?:-(\d\d?)(?:-(\d\d?)(?:T(\d\d):(\d\d)(?::(\d\d))?)?)?)?", re.ASCII)
_NEAR = re.compile(
    r"(-?\d{1,2}(?:\.\d{1,9})?),(-?\d{1,3}(?:\.\d{1,9})?)(?:~(\d{1,5}(?:\.\d{1,6})?)(km|m|mi)?)?",
    re.ASCII | re.IGNORECASE,
)
_KM = {"km": Decimal(1), "m": Decimal("0.001"), "mi": Decimal("1.609344")}
_NEAR_KM = Decimal(1)

Bounds = tuple[float | None, float | None, bool, bool]  # low, high, and whether each is itself left out
Interval = tuple[datetime | None, datetime | None]  # from, and up to but not with


class ValueWrong(ValueError):
    """What a field cannot take, in words for the person who typed it."""


def parse_value(name: str, text: str, quoted: bool) -> Value:
    """Raises ValueWrong."""
    spec = FIELDS[name]
    match spec.kind:
        case "number":
            return _number(name, text)
        case "date" | "moment":
            return _dates(text, spec)
        case "near":
            return _near(text)
        case "choice":
            return _choice(name, text, spec)
        case _:
            return _text(name, text, quoted)


def _text(name: str, text: str, quoted: bool) -> Text:
    glob = name in GLOB_FIELDS and not quoted and ("*" in text or "?" in text)
    if FIELDS[name].kind == "text" and name not in GLOB_FIELDS and not fold(text):
        raise ValueWrong(f"{name}: needs a letter or a digit, such as {name}:{FIELDS[name].example}.")
    return Text(text, glob)


def _choice(name: str, text: str, spec: FieldSpec) -> Text:
    value = text.casefold()
    if value not in spec.choices:
        meant = did_you_mean(f"{name}:{near}" for near in nearest(value, spec.choices))
        raise ValueWrong(f"{name}: cannot be {text!r}.{meant} There are: {', '.join(spec.choices)}.")
    return Text(value)


def _number(name: str, text: str) -> Number:
    low, dots, high = text.partition("..")
    if dots and low and high:
        first, last = _one_number(name, low), _one_number(name, high)
        if first > last and name != "month":
            raise ValueWrong(f"{name}: {low} is more than {high}.")
        return Number("..", first, last)
    if dots and (low or high):
        return Number(">=" if low else "<=", _one_number(name, low or high))
    operator, rest = cast("re.Match[str]", _COMPARED.fullmatch(text)).groups()
    return Number(cast(Operator, operator or "="), _one_number(name, rest))


def _one_number(name: str, text: str) -> Decimal:
    if name == "month" and text.isascii() and text.isalpha():
        found = [place for place, month in enumerate(MONTHS, 1) if text.lower() in (month, month[:3])]
        if found:
            return Decimal(found[0])
        raise ValueWrong(f"There is no month {text!r}.{did_you_mean(nearest(text, MONTHS))}")
    if not _NUMBER.fullmatch(text):
        raise ValueWrong(
            f"{name}: {text!r} is no number. Write {name}:1600, {name}:>1600, {name}:<=1600 or {name}:100..1600."
        )
    value = Decimal(text)
    if name == "month" and not (value == int(value) and 1 <= value <= 12):
        raise ValueWrong(f"There is no month {text}; they are 1 to 12.")
    return value


def bounds(value: Number) -> Bounds:
    """The interval that a comparison leaves. Equal means equal at the precision typed: f:2.8 is 2.75 up to 2.85."""
    low = float(value.low)
    match value.operator:
        case "=":
            half = Decimal((0, (5,), int(value.low.as_tuple().exponent) - 1))
            return float(value.low - half), float(value.low + half), False, True
        case "..":
            return low, float(cast(Decimal, value.high)), False, False
        case "<" | "<=":
            return None, low, False, value.operator == "<"
        case _:
            return low, None, value.operator == ">", False


def _dates(text: str, spec: FieldSpec) -> Dates:
    low, dots, high = text.partition("..")
    if spec.kind == "moment":
        return Dates("=", _one_date(text))
    if dots and low and high:
        first, last = _one_date(low), _one_date(high)
        if span(first)[0] > span(last)[0]:
            raise ValueWrong(f"{low} is later than {high}.")
        return Dates("..", first, last)
    if dots and (low or high):
        return Dates(">=" if low else "<=", _one_date(low or high))
    operator, rest = cast("re.Match[str]", _COMPARED.fullmatch(text)).groups()
    return Dates(cast(Operator, operator or "="), _one_date(rest))


def _one_date(text: str) -> str:
    found = _DATE.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        year, month, day, *clock = found.groups()
        written = "-".join([year, *(part.zfill(2) for part in (month, day) if part)])
        written += "T" + ":".join(part for part in clock if part) if clock[0] else ""
        span(written)
    except ValueError:
        raise ValueWrong(f"{text!r} is no date. Write 2023, 2023-05, 2023-05-01 or 2023-05-01T14:30.") from None
    return written


def span(written: str) -> tuple[datetime, datetime | None]:
    """The first moment of a year, month, day, minute or second, and the first one after it (None: never).

    Raises ValueError for what is in no calendar.
    """
    numbers = [int(part) for part in re.split("[-T:]", written)]
    start = datetime(*(numbers + [1, 1][len(numbers) - 1 :] if len(numbers) < 3 else numbers))  # type: ignore[arg-type]
    try:
        if len(numbers) == 1:
            return start, start.replace(year=start.year + 1)
        if len(numbers) == 2:
            return start, (start + timedelta(days=31)).replace(day=1)
        length = {3: timedelta(days=1), 5: timedelta(minutes=1), 6: timedelta(seconds=1)}[len(numbers)]
        return start, start + length
    except (ValueError, OverflowError):
        return start, None


def interval(name: str, value: Dates) -> Interval:
    """When a photo must have been taken: from the first moment, up to but not with the second."""
    start, end = span(value.low)
    match (name, value.operator):
        case ("after", _) | (_, ">="):
            return start, None
        case ("before", _) | (_, "<"):
            return None, start
        case (_, "<="):
            return None, end
        case (_, ">"):
            return end or datetime.max, None
        case (_, ".."):
            return start, span(cast(str, value.high))[1]
    return start, end


def _near(text: str) -> Near:
    found = _NEAR.fullmatch(text)
    if found is None:
        raise ValueWrong("near: needs degrees north and east, and how far: near:48.85,2.35~10km (or ~500m).")
    latitude, longitude = Decimal(found[1]), Decimal(found[2])
    if abs(latitude) > 90 or abs(longitude) > 180:
        raise ValueWrong("near: takes degrees north from -90 to 90, then degrees east from -180 to 180.")
    km = _NEAR_KM if found[3] is None else Decimal(found[3]) * _KM[(found[4] or "km").lower()]
    return Near(latitude, longitude, km.quantize(Decimal("0.000001")).normalize())
