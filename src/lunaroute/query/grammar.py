"""[pure] Filters as people type them: one string → a `Filter`.

    model:claude-* tool:Bash error:true cost:>0.5 latency:>2s since:7d -client:codex "free text"

- `field:value`; several values are an "or": `model:opus,sonnet`. All terms must hold.
- `-` before a term: must not hold.
- Numbers: `cost:>0.5`, `tokens:<=20k`, `latency:2s..10s`; times in `ms`, `s`, `m`, `h`; counts with `k` and `M`.
- Times: `since:7d`, `until:2026-11-22T10:00`, `since:today`.
- Quotes keep spaces together, in values as well: `tool:"my tool"`; `\\` takes away the meaning of the next character.
- Anything else is text that was said.

Every mistake is a FilterError of one line that names the nearest right thing.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import cast

from lunaroute.errors import FilterError

from .fields import FIELDS, Field
from .filter import Among, Compared, Condition, Filter, Flag, Operator, Words
from .moments import parse_moment

_TERM = re.compile(r"(-?)(?:([A-Za-z_]+):)?(.+)", re.DOTALL)
_TRUE, _FALSE = {"true", "yes", "1"}, {"false", "no", "0"}
_COMPARISON = re.compile(r"(>=|<=|>|<|=)?\s*(.+)")
_AMOUNT = re.compile(r"\$?(\d+(?:\.\d+)?|\.\d+)\s*([A-Za-z]*)")
_FACTORS: dict[str, dict[str, float]] = {
    "ms": {"": 1, "ms": 1, "s": 1000, "m": 60_000, "min": 60_000, "h": 3_600_000},
    "count": {"": 1, "k": 1000, "m": 1_000_000},
    "usd": {"": 1, "usd": 1},
}
_EXAMPLES = {"ms": "latency:>2s", "count": "tokens:>20k", "usd": "cost:>0.5"}
_QUOTED = "\0"
"""Stands in front of a character that quotes or a backslash have made plain."""


def parse_filter(text: str, now: datetime) -> Filter:
    """The filter that `text` means at the moment `now`. Raises FilterError."""
    found = Filter()
    for term in _split(text):
        found = found.and_also(_term(term, now))
    return found


def parse_field(field: str, text: str, now: datetime) -> Filter:
    """The filter of one field, as an option of a command names it. Raises FilterError."""
    return _condition(field, text, is_negated=False, now=now)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant; None = none is near."""
    by_folded = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[close[0]] if close else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or nothing."""
    found = nearest(word, known)
    return f"; did you mean {found!r}?" if found else ""


def _split(text: str) -> list[str]:
    """Terms; quotes and backslashes are gone, what they made plain is marked."""
    terms, term, quote, is_escaped, is_term = [], "", False, False, False
    for char in text.replace(_QUOTED, ""):
        if is_escaped or (quote and char not in '"\\'):
            term, is_escaped = term + _QUOTED + char, False
        elif char == "\\":
            is_escaped = True
        elif char == '"':
            quote, is_term = not quote, True
        elif char.isspace():
            if term or is_term:
                terms.append(term)
            term, is_term = "", False
        else:
            term += char
    if quote:
        raise FilterError(f"a quote is not closed in {text!r}")
    return [one for one in [*terms, term] if one]


def _plain(term: str) -> str:
    return term.replace(_QUOTED, "")


def _term(term: str, now: datetime) -> Filter:
    found = _TERM.fullmatch(term)
    if found is None:
        raise FilterError(f"{_plain(term)!r} says nothing")
    minus, field, value = found.groups()
    if field is None:
        return Filter(conditions=(Words(text=_plain(value), is_negated=bool(minus)),))
    if value.startswith("//") and field.lower() not in FIELDS:
        # An address is text.
        return Filter(conditions=(Words(text=_plain(f"{field}:{value}"), is_negated=bool(minus)),))
    return _condition(field, value, is_negated=bool(minus), now=now)


def _condition(field: str, value: str, *, is_negated: bool, now: datetime) -> Filter:
    name = field.lower()
    known = FIELDS.get(name)
    if known is None:
        hint = did_you_mean(name, FIELDS) or f"; known are {', '.join(FIELDS)}"
        raise FilterError(f"{field!r} is no field of a filter{hint}")
    if known.kind == "moment":
        return _moment(name, _plain(value), is_negated, now)
    return Filter(conditions=tuple(_conditions(name, known, value, is_negated)))


def _conditions(name: str, field: Field, value: str, is_negated: bool) -> Sequence[Condition]:
    match field.kind:
        case "flag":
            return [Flag(field=name, is_so=_truth(name, _plain(value)) is not is_negated)]
        case "name":
            return [Among(field=name, names=_names(name, field, value), is_negated=is_negated)]
        case _:
            return _comparisons(name, field, _plain(value), is_negated)


def _moment(name: str, text: str, is_negated: bool, now: datetime) -> Filter:
    if is_negated:
        raise FilterError(f"-{name}: cannot be negated; use the other of since: and until:")
    try:
        moment = parse_moment(text, now)
    except ValueError as error:
        raise FilterError(f"{name}: {error}") from None
    return Filter(since=moment) if name == "since" else Filter(until=moment)


def _truth(name: str, text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise FilterError(f"{name}:{text}: say {name}:true or {name}:false")


def _names(name: str, field: Field, value: str) -> tuple[str, ...]:
    names = tuple(_plain(one) for one in re.split(rf"(?<!{_QUOTED}),", value) if one)
    if not names:
        raise FilterError(f"{name}: names nothing")
    for one in names:
        if field.choices and "*" not in one and one not in field.choices:
            hint = did_you_mean(one, field.choices) or f"; there are {', '.join(field.choices)}"
            raise FilterError(f"{name}:{one}: there is no such {name}{hint}")
    return names


def _comparisons(name: str, field: Field, text: str, is_negated: bool) -> Sequence[Condition]:
    low, dots, high = text.partition("..")
    if dots:
        if is_negated:
            raise FilterError(f"-{name}:{text}: a range cannot be negated; say {name}:<{low or 'LOW'}")
        ends: list[tuple[Operator, str]] = [(">=", low), ("<=", high)]
        return [Compared(field=name, operator=op, amount=_amount(name, field, end)) for op, end in ends if end]
    found = _COMPARISON.fullmatch(text.strip())
    if found is None:
        raise FilterError(f"{name}: compares with nothing; say e.g. {_EXAMPLES[field.kind]}")
    operator = cast(Operator, found[1] or "=")
    amount = _amount(name, field, found[2])
    return [Compared(field=name, operator=operator, amount=amount, is_negated=is_negated)]


def _amount(name: str, field: Field, text: str) -> float:
    found = _AMOUNT.fullmatch(text.strip())
    factor = _FACTORS[field.kind].get(found[2].lower()) if found else None
    if found is None or factor is None:
        raise FilterError(f"{name}:{text} is no amount; say e.g. {_EXAMPLES[field.kind]}")
    return float(found[1]) * factor
