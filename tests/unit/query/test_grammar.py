"""What people type, as filters; every mistake is one line with the nearest right thing."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunaroute.errors import FilterError
from lunaroute.query.filter import Among, Compared, Condition, Filter, Flag, Words
from lunaroute.query.grammar import parse_filter

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def _parse(text: str) -> tuple[Condition, ...]:
    return parse_filter(text, NOW).conditions


@pytest.mark.parametrize(
    ("text", "conditions"),
    [
        ("", ()),
        ("hello", (Words(text="hello"),)),
        ('"hello world"', (Words(text="hello world"),)),
        ('-"hello world"', (Words(text="hello world", is_negated=True),)),
        ("hello world", (Words(text="hello"), Words(text="world"))),
        (r"say\ it", (Words(text="say it"),)),
        (r"model\:x", (Words(text="model:x"),)),
        ('"model:x"', (Words(text="model:x"),)),
        ("http://localhost:8081", (Words(text="http://localhost:8081"),)),
        ("model:claude-*", (Among(field="model", names=("claude-*",)),)),
        ("MODEL:a,b", (Among(field="model", names=("a", "b")),)),
        ('tool:"a,b c"', (Among(field="tool", names=("a,b c",)),)),
        ("-tool:Bash", (Among(field="tool", names=("Bash",), is_negated=True),)),
        ("error:true", (Flag(field="error", is_so=True),)),
        ("-error:yes", (Flag(field="error", is_so=False),)),
        ("cost:>0.5", (Compared(field="cost", operator=">", amount=0.5),)),
        ("cost:$2", (Compared(field="cost", operator="=", amount=2),)),
        ("latency:>2s", (Compared(field="latency", operator=">", amount=2000),)),
        ("latency:<=1.5m", (Compared(field="latency", operator="<=", amount=90_000),)),
        ("-ttft:<250", (Compared(field="ttft", operator="<", amount=250, is_negated=True),)),
        (
            "tokens:10k..2M",
            (
                Compared(field="tokens", operator=">=", amount=10_000),
                Compared(field="tokens", operator="<=", amount=2_000_000),
            ),
        ),
        ("tokens:10k..", (Compared(field="tokens", operator=">=", amount=10_000),)),
    ],
)
def test_terms_are_understood(text: str, conditions: tuple[Condition, ...]) -> None:
    assert _parse(text) == conditions


def test_times_bound_the_whole_filter() -> None:
    wanted = parse_filter("since:7d error:true until:today", NOW)
    assert wanted == Filter(
        conditions=(Flag(field="error", is_so=True),), since=NOW - timedelta(days=7), until=NOW.replace(hour=0)
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("modle:x", "did you mean 'model'"),
        ("qqqq:x", "known are provider, model"),
        ("outcome:http_eror", "did you mean 'http_error'"),
        ("outcome:zzzz", "there are completed"),
        ("cost:much", "say e.g. cost:>0.5"),
        ("latency:>2parsecs", "say e.g. latency:>2s"),
        ("tokens:>", "say e.g. tokens:>20k"),
        ("error:perhaps", "say error:true"),
        ("since:someday", "is no time"),
        ("-since:7d", "cannot be negated"),
        ("-cost:1..2", "a range cannot be negated"),
        ('"open', "a quote is not closed"),
        ("model:,", "names nothing"),
    ],
)
def test_mistakes_are_one_line_with_the_nearest_right_thing(text: str, said: str) -> None:
    with pytest.raises(FilterError, match=said) as caught:
        _parse(text)
    assert "\n" not in str(caught.value)


@given(st.text())
def test_nothing_people_type_is_a_defect(text: str) -> None:
    with contextlib.suppress(FilterError):
        assert isinstance(parse_filter(text, NOW), Filter)


@given(st.text(st.characters(exclude_characters='"\\\0', exclude_categories=["Cs"]), min_size=1))
def test_quoted_text_is_taken_as_it_is(text: str) -> None:
    assert _parse(f'"{text}"') == (Words(text=text),)
