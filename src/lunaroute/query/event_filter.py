"""[pure] Filters on single events, as they come: the same language as for lists.

In: a filter, events, and the beginnings of their sessions. Out: yes or no. A term holds for an event that says so
itself, or whose session does (client, tags, tenant, node, source, provider); an event that says nothing about it does
not match.
"""

from __future__ import annotations

import fnmatch
import operator
import re
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from lunaroute.errors import FilterError
from lunaroute.events import Event
from lunaroute.events.types import Completed, RequestRecorded, ResponseRecorded, Started, ToolCallRecorded

from .filter import Among, Compared, Condition, Filter, Flag, Words
from .grammar import did_you_mean
from .moments import sql_moment
from .stores.base import words_of

_OPERATORS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "=": operator.eq,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


class EventFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What of an event can be asked for, and what a line of a table shows of it."""

    timestamp: str
    session_id: str
    request_id: str
    type: str
    model: str | None = None
    tool: str | None = None
    outcome: str | None = None
    success: bool | None = None
    status: str | None = None
    cost: float | None = None
    tokens: int | None = None
    input: int | None = None
    output: int | None = None
    thinking: int | None = None
    cached: int | None = None
    tools: int | None = None
    latency: float | None = None
    ttft: float | None = None
    duration: float | None = None
    text: str = ""


_NAMES: Final = (
    "provider",
    "model",
    "client",
    "tool",
    "tag",
    "tenant",
    "node",
    "outcome",
    "status",
    "source",
    "session",
)
_AMOUNTS: Final = (
    *("cost", "tokens", "input", "output", "thinking", "cached"),
    *("tools", "latency", "ttft", "duration"),
)
_FLAGS: Final = ("error",)


def facts_of(event: Event) -> EventFacts:
    """The facts of one event."""
    facts = EventFacts(
        timestamp=event.timestamp,
        session_id=event.session_id,
        request_id=event.request_id,
        type=str(event.__struct_config__.tag),
    )
    match event:
        case Started():
            more: dict[str, object] = {"model": event.model_requested}
        case RequestRecorded():
            more = {"model": event.model_requested, "text": event.request_text}
        case ResponseRecorded():
            more = _of_response(event)
        case ToolCallRecorded():
            more = {
                "model": event.model_name,
                "tool": event.tool_name,
                "success": event.success,
                "duration": event.execution_time_ms,
                "text": event.output_text,
            }
        case Completed():
            more = {
                "success": event.success,
                "cost": event.final_stats.estimated_cost.total_cost_usd,
                "tokens": event.final_stats.total_tokens.total,
                "duration": event.final_stats.total_duration_ms,
            }
        case _:
            more = {}
    return msgspec.structs.replace(facts, **more)


def _of_response(event: ResponseRecorded) -> dict[str, object]:
    stats, tokens = event.stats, event.stats.tokens
    return {
        "model": event.model_used,
        "tool": ", ".join(call.tool_name for call in stats.tool_calls) or None,
        "outcome": event.outcome,
        "success": event.success,
        "status": None if event.status_code is None else str(event.status_code),
        "cost": stats.estimated_cost.total_cost_usd if stats.estimated_cost else None,
        "tokens": tokens.total_tokens,
        "input": tokens.input_tokens,
        "output": tokens.output_tokens,
        "thinking": tokens.thinking_tokens,
        "cached": tokens.cache_read_tokens,
        "tools": len(stats.tool_calls),
        "latency": stats.provider_latency_ms,
        "ttft": stats.time_to_first_token_ms,
        "duration": stats.total_duration_ms,
        "text": "\n".join([event.response_text, *(call.arguments for call in stats.tool_calls)]),
    }


class EventFilter:
    """matches(event, started)*"""

    def __init__(self, wanted: Filter) -> None:
        """Raises FilterError for a field that events lack."""
        self._since = None if wanted.since is None else _timestamp(sql_moment(wanted.since))
        self._until = None if wanted.until is None else _timestamp(sql_moment(wanted.until))
        self._tests = [_compiled(condition) for condition in wanted.conditions]

    @property
    def is_everything(self) -> bool:
        return not self._tests and self._since is None and self._until is None

    def matches(self, event: Event, started: Started | None) -> bool:
        """`started` is the beginning of the event's session; None = nobody knows it."""
        if self._since is not None and event.timestamp < self._since:
            return False
        if self._until is not None and event.timestamp >= self._until:
            return False
        return self.holds(facts_of(event), event, started)

    def holds(self, facts: EventFacts, event: Event | None, started: Started | None) -> bool:
        """The terms alone, without the span of time, for what is no event yet (`event` is None then)."""
        return all(test(facts, event, started) for test in self._tests)


_Test = Callable[[EventFacts, Event | None, Started | None], bool]


def _compiled(condition: Condition) -> _Test:
    match condition:
        case Words():
            pattern = _phrase(condition.text)
            return lambda facts, _event, _started: (pattern.search(facts.text) is None) is condition.is_negated
        case Among():
            _known(condition.field, _NAMES)
            return lambda facts, event, started: (
                _is_among(condition, _named(condition.field, facts, event, started)) is not condition.is_negated
            )
        case Compared():
            _known(condition.field, _AMOUNTS)
            return lambda facts, _event, _started: _compares(condition, facts)
        case Flag():
            _known(condition.field, _FLAGS)
            return lambda facts, _event, _started: (facts.success is False) is condition.is_so


def _known(field: str, fields: tuple[str, ...]) -> None:
    if field not in fields:
        raise FilterError(f"{field}: is no filter of events{did_you_mean(field, fields)}")


def _phrase(text: str) -> re.Pattern[str]:
    """The words next to each other, as the search index would find them."""
    words = words_of(text)
    ending = "" if words[-1].endswith("*") else r"\b"
    return re.compile(r"\b" + r"\W+".join(re.escape(word.rstrip("*")) for word in words) + ending, re.IGNORECASE)


def _named(field: str, facts: EventFacts, event: Event | None, started: Started | None) -> list[str]:
    """What the event, or its session, has for a field of names."""
    found: list[str | None]
    match field:
        case "session":
            found = [facts.session_id]
        case "tool" if isinstance(event, ResponseRecorded):
            found = [call.tool_name for call in event.stats.tool_calls]
        case "provider" if isinstance(event, RequestRecorded):
            found = [event.provider]
        case "provider" | "source" | "tenant" | "node":
            found = [None if started is None else getattr(started, field)]
        case "client":
            found = [None if started is None else started.metadata.client.name]
        case "tag":
            found = [] if started is None else list(started.metadata.session_tags)
        case _:
            found = [getattr(facts, field)]
    return [name for name in found if name is not None]


def _is_among(condition: Among, names: list[str]) -> bool:
    if condition.is_exact:
        return not set(condition.names).isdisjoint(names)
    typed = [one.casefold() for one in condition.names]
    return any(_is_meant(condition.field, one, name.casefold()) for one in typed for name in names)


def _is_meant(field: str, typed: str, name: str) -> bool:
    if field == "session":
        return name.startswith(typed.rstrip("*"))
    if "*" in typed:
        return fnmatch.fnmatchcase(name, typed.replace("[", "[[]"))
    return typed in name


def _compares(condition: Compared, facts: EventFacts) -> bool:
    amount = getattr(facts, condition.field)
    holds = amount is not None and _OPERATORS[condition.operator](amount, condition.amount)
    return holds is not condition.is_negated


def _timestamp(moment: str) -> str:
    """A time of the index → the form of events, which sorts alike."""
    return f"{moment.replace(' ', 'T')}Z"
