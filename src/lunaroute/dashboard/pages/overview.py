"""The overview: what was spent, how it went and what is running, against the span of time before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

import msgspec
from starlette.responses import Response

from lunaroute.dashboard import numbers
from lunaroute.dashboard.asked import Asked
from lunaroute.dashboard.status import SessionRow
from lunaroute.errors import FilterError
from lunaroute.query.exchanges import ExchangeSummary, list_exchanges
from lunaroute.query.filter import Filter, Flag
from lunaroute.query.latency import Latency, latencies, merged
from lunaroute.query.sessions import list_sessions
from lunaroute.query.stores.base import Index
from lunaroute.query.tools import tool_usage
from lunaroute.query.usage import Usage, total, usage

from .call import PageCall
from .sessions import session_rows

_TOOLS_SHOWN = 8
_RUNNING_SHOWN = 12
_LATEST_SHOWN = 6
_WORTH_A_COLOUR = 0.05

Better = Literal["more", "less", "neither"]


class Kpi(msgspec.Struct, frozen=True, kw_only=True):
    """A number of the first row."""

    name: str
    value: str
    detail: str
    change: float | None
    """Against the span before, as a share; None = nothing to compare with."""
    better: Better
    series: list[float | None]

    @property
    def mood(self) -> str:
        if self.change is None or abs(self.change) < _WORTH_A_COLOUR or self.better == "neither":
            return "even"
        return "good" if (self.change > 0) == (self.better == "more") else "bad"


def overview_page(call: PageCall) -> Response:
    if call.index is None:
        return call.show("overview.html", page="overview", title="Overview", kpis=None, tools=[], running=[], latest=[])
    try:
        kpis = _kpis(call.index, call.asked)
        tools = tool_usage(call.index, call.asked.wanted, has_percentiles=False)[:_TOOLS_SHOWN]
        problem = None
    except FilterError as error:
        kpis, tools, problem = [], [], error
    return call.show(
        "overview.html",
        page="overview",
        title="Overview",
        kpis=kpis,
        tools=tools,
        running=_running(call.index, call.asked),
        latest=_latest(call, call.index),
        problem=problem,
    )


def running_part(call: PageCall) -> Response:
    running = [] if call.index is None else _running(call.index, call.asked)
    latest = [] if call.index is None else _latest(call, call.index)
    return call.show("parts/running.html", page="overview", title="Running now", running=running, latest=latest)


def _latest(call: PageCall, index: Index) -> list[SessionRow]:
    return session_rows(index, list_sessions(index, limit=_LATEST_SHOWN).items, call.asked, call.marks)


def _running(index: Index, asked: Asked) -> list[ExchangeSummary]:
    """Exchanges without an end; looked for in the last day only, as nothing tells where else they are."""
    wanted = Filter(conditions=(Flag(field="live", is_so=True),), since=asked.now - timedelta(days=1))
    return list_exchanges(index, wanted, limit=_RUNNING_SHOWN).items


def _kpis(index: Index, asked: Asked) -> list[Kpi]:
    series, steps = usage(index, asked.wanted, [asked.grain]), latencies(index, asked.wanted, [asked.grain])
    now, times = total(series), merged(steps)
    before = None if asked.previous is None else total(usage(index, asked.previous))
    times_before = None if asked.previous is None else merged(latencies(index, asked.previous))
    return [
        *_sums(now, before, series),
        *_shares(now, before, series),
        *_times(times, times_before, steps),
        _own(now, before, series),
    ]


def _sums(now: Usage | None, before: Usage | None, series: Sequence[Usage]) -> list[Kpi]:
    found = []
    for name, field, write, better in (
        ("Spend", "total_cost_usd", numbers.usd, "less"),
        ("Requests", "requests", numbers.short, "neither"),
        ("Tokens", "total_tokens", numbers.short, "neither"),
    ):
        value = _of(now, field)
        found.append(
            Kpi(
                name=name,
                value=write(value if now is not None else 0),
                detail=_detail(field, now),
                change=_change(value, _of(before, field)),
                better=better,  # type: ignore[arg-type]
                series=[_of(one, field) for one in series],
            )
        )
    return found


def _detail(field: str, now: Usage | None) -> str:
    if now is None:
        return ""
    if field == "total_cost_usd":
        unpriced = now.unpriced_requests
        return f"{numbers.short(unpriced)} unpriced" if unpriced else f"{numbers.usd(_each(now))} a request"
    if field == "requests":
        return f"{numbers.short(now.tool_call_count)} tool calls"
    return f"{numbers.short(now.input_tokens)} in · {numbers.short(now.output_tokens)} out"


def _each(now: Usage) -> float | None:
    return numbers.ratio(now.total_cost_usd, now.requests)


def _shares(now: Usage | None, before: Usage | None, series: Sequence[Usage]) -> list[Kpi]:
    cached, failed = (None if now is None else now.cached_share), _failed(now)
    return [
        Kpi(
            name="Cache hits",
            value=numbers.percent(cached),
            detail="of input from cache",
            change=_change(cached, None if before is None else before.cached_share),
            better="more",
            series=[one.cached_share for one in series],
        ),
        Kpi(
            name="Errors",
            value=numbers.percent(failed),
            detail=f"{numbers.short(_of(now, 'failures') or 0)} failed",
            change=_change(failed, _failed(before)),
            better="less",
            series=[_failed(one) for one in series],
        ),
    ]


def _times(times: Latency | None, earlier: Latency | None, steps: Sequence[Latency]) -> list[Kpi]:
    found = []
    for name, field in (("First token", "ttft"), ("Latency", "latency")):
        current = None if times is None else getattr(times, field)
        past = None if earlier is None else getattr(earlier, field)
        found.append(
            Kpi(
                name=name,
                value=numbers.ms(None if current is None else current.p50_ms),
                detail=f"p95 {numbers.ms(None if current is None else current.p95_ms)}",
                change=_change(None if current is None else current.p50_ms, None if past is None else past.p50_ms),
                better="less",
                series=[getattr(one, field).p50_ms for one in steps],
            )
        )
    return found


def _own(now: Usage | None, before: Usage | None, series: Sequence[Usage]) -> Kpi:
    share = None if now is None else numbers.ratio(now.proxy_overhead_ms, now.total_duration_ms)
    return Kpi(
        name="Overhead",
        value=numbers.ms(_overhead(now)),
        detail=f"{numbers.percent(share)} of time",
        change=_change(_overhead(now), _overhead(before)),
        better="less",
        series=[_overhead(one) for one in series],
    )


def _of(row: Usage | None, field: str) -> float | None:
    value: float | None = None if row is None else getattr(row, field)
    return value


def _failed(row: Usage | None) -> float | None:
    return None if row is None else numbers.ratio(row.failures, row.requests)


def _overhead(row: Usage | None) -> float | None:
    return None if row is None else numbers.ratio(row.proxy_overhead_ms, row.requests)


def _change(value: float | None, before: float | None) -> float | None:
    return None if value is None or not before else value / before - 1
