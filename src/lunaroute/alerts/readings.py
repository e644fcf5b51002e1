"""How a rule stands: asked of the index, and of what the recorder tells about itself.

In: a rule, and where to ask. Out: readings, one per subject: a session, a provider's window, an exchange that stands
still, or just the rule itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec

from lunaroute.events.totals import Totals
from lunaroute.query.filter import Among, Filter
from lunaroute.query.latency import latencies
from lunaroute.query.sessions import list_sessions
from lunaroute.query.usage import usage
from lunaroute.supervisor.instance import RecorderInfo

from .rule import Rule

_FEWEST_EXCHANGES = 10
"""Shares and percentiles of fewer say nothing."""
_SESSIONS = 50
_RECENT = timedelta(days=1)
_NOT_BLOCKED = Among(field="outcome", names=("blocked",), is_negated=True)
_SILENCE_OLD_S = 5.0
"""A recorder that has not told about itself for so long knows nothing of the present."""


class SessionName(msgspec.Struct, frozen=True):
    """By what the relay can know a session's requests, where it can."""

    header: tuple[str, str] | None = None
    tag: str | None = None


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """A number that a rule is about."""

    subject: str = ""
    """Whose; empty: there is only one."""
    value: float
    """In the unit of the rule's limit."""
    ends_at: datetime | None = None
    """When what was measured begins anew by itself: a budget's day, a provider's window."""
    session: SessionName | None = None
    """Where the subject is a session."""


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """Where to ask, at one moment."""

    now: datetime
    """In this machine's time zone: a day is that of the person in front of it."""
    index: sqlite3.Connection | None
    recorder: RecorderInfo | None
    totals: Totals


def readings(rule: Rule, sources: Sources) -> list[Reading]:
    """Raises sqlite3.Error, FilterError."""
    match rule.measure:
        case "stall":
            return list(_stalls(rule, sources))
        case "rate limit":
            return list(_rate_limits(rule, sources))
    if sources.index is None:
        return []
    match rule.measure:
        case "spend" if rule.period == "session":
            return _session_spends(rule, sources.now, sources.index)
        case "spend":
            return [_spend(rule, sources.now, sources.index)]
        case "errors":
            return _error_share(rule, sources.now, sources.index)
        case _:
            return _percentile(rule, sources.now, sources.index)


def _spend(rule: Rule, now: datetime, index: sqlite3.Connection) -> Reading:
    since, until = _period(rule, now)
    found = usage(index, rule.wanted.and_also(Filter(since=since)))
    return Reading(value=sum(one.total_cost_usd or 0.0 for one in found), ends_at=until)


def _period(rule: Rule, now: datetime) -> tuple[datetime, datetime]:
    """Of the clock on the wall: where days change their length, so do budgets."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    if rule.period == "hour":
        return hour, hour + timedelta(hours=1)
    day = hour.replace(hour=0)
    if rule.period == "day":
        return _local(day), _local(day + timedelta(days=1))
    first = day.replace(day=1)
    return _local(first), _local((first + timedelta(days=32)).replace(day=1))


def _local(moment: datetime) -> datetime:
    """The same time of day, with the offset from UTC that is in force then."""
    return moment.replace(tzinfo=None).astimezone()


def _session_spends(rule: Rule, now: datetime, index: sqlite3.Connection) -> list[Reading]:
    recent = rule.wanted.and_also(Filter(since=now - _RECENT))
    page = list_sessions(index, recent, order="cost", limit=_SESSIONS)
    return [
        Reading(
            subject=one.session_id,
            value=one.total_cost_usd or 0.0,
            ends_at=now + _RECENT,
            session=_name(index, one.session_id),
        )
        for one in page.items
        if (one.total_cost_usd or 0.0) > rule.limit
    ]


def _name(index: sqlite3.Connection, session_id: str) -> SessionName:
    statement = "SELECT identity_rule, identity_evidence FROM sessions WHERE session_id = ?"
    rule, evidence = index.execute(statement, (session_id,)).fetchone()
    name, _, value = (evidence or "").partition("=")
    if rule == "client_header" and value:
        return SessionName(header=(name, value))
    return SessionName(tag=value if rule == "session_tag" and value else None)


def _error_share(rule: Rule, now: datetime, index: sqlite3.Connection) -> list[Reading]:
    found = usage(index, _in_window(rule, now))
    requests, failures = sum(one.requests for one in found), sum(one.failures for one in found)
    return [Reading(value=failures / requests)] if requests >= _FEWEST_EXCHANGES else []


def _percentile(rule: Rule, now: datetime, index: sqlite3.Connection) -> list[Reading]:
    for found in latencies(index, _in_window(rule, now)):
        measured = found.latency if rule.measure == "latency" else found.ttft
        value_ms: float | None = getattr(measured, f"p{rule.percent}_ms")
        if value_ms is not None and measured.count >= _FEWEST_EXCHANGES:
            return [Reading(value=value_ms / 1000)]
    return []


def _in_window(rule: Rule, now: datetime) -> Filter:
    """Without what rules blocked: counted as failures, those would keep a rule exceeded for ever."""
    since = now - timedelta(seconds=rule.window_s)
    return rule.wanted.and_also(Filter(conditions=(_NOT_BLOCKED,), since=since))


def _stalls(rule: Rule, sources: Sources) -> Iterator[Reading]:
    recorder = sources.recorder
    if recorder is None or sources.now.timestamp() - (recorder.updated_at or 0.0) > _SILENCE_OLD_S:
        return
    for one in recorder.silent_exchanges:
        if rule.providers is None or one.provider in rule.providers:
            yield Reading(subject=one.request_id, value=one.silence_s)


def _rate_limits(rule: Rule, sources: Sources) -> Iterator[Reading]:
    now_s = sources.now.timestamp()
    for provider, models in sources.totals.models.items():
        if rule.providers is not None and provider not in rule.providers:
            continue
        for model, found in models.items():
            for window, told in found.rate_limits.items():
                if told.is_in_force(now_s):
                    ends_at = datetime.fromtimestamp(told.ends_at_s, sources.now.tzinfo)
                    yield Reading(subject=f"{provider} {model} {window}", value=told.used_share, ends_at=ends_at)
