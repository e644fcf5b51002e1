"""[pure] The lines of the screen's table: one for each session that has not ended, the busy ones first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec
from rich.text import Text

from lunaroute.live.wire import InFlight
from lunaroute.query.render import milliseconds, plain, short_count, usd
from lunaroute.query.sessions import SessionSummary

from .source import Sessions

COLUMNS = (("state", 10), ("session", 13), ("client", 10), ("model", 14), ("turns", 5), ("tok/s", 5), ("cost", 8))
"""Name and width; together 79 with a blank around each."""
_SHORT_ID_CHARS = 13


class Row(msgspec.Struct, frozen=True):
    session_id: str
    cells: list[Text]
    request_id: str | None
    """Of what streams in it."""


def rows_of(now: Sessions, flights: Mapping[str, InFlight], at: datetime) -> list[Row]:
    """What streams first, then what runs tools, then the rest."""
    by_session: dict[str, InFlight] = {}
    for flight in flights.values():
        by_session[flight.session_id] = flight
    tools: dict[str, list[str]] = {}
    for tool in now.tools:
        since = datetime.fromisoformat(tool.called_at).replace(tzinfo=UTC)
        waited = milliseconds(max(0.0, (at - since).total_seconds() * 1000))
        tools.setdefault(tool.session_id, []).append(f"{tool.tool_name} {waited}")
    known = {one.session_id for one in now.sessions}
    rows = [
        (_rank(one.session_id, by_session, tools), _row(one, by_session.get(one.session_id), tools.get(one.session_id)))
        for one in now.sessions
    ]
    # The index has a session within a moment of its first request.
    rows += [(0, _new_row(flight)) for session_id, flight in by_session.items() if session_id not in known]
    return [row for _, row in sorted(rows, key=lambda pair: pair[0])]


def _rank(session_id: str, flights: Mapping[str, InFlight], tools: Mapping[str, list[str]]) -> int:
    return 0 if session_id in flights else 1 if session_id in tools else 2


def _row(session: SessionSummary, flight: InFlight | None, tools: list[str] | None) -> Row:
    state = _state(flight, tools)
    cost = session.total_cost_usd
    if flight is not None and flight.cost_usd is not None:
        cost = (cost or 0.0) + flight.cost_usd
    model = session.model_used or session.model_requested or "–"
    return Row(
        session.session_id,
        [
            state,
            Text(session.session_id[:_SHORT_ID_CHARS]),
            plain(session.client_name or "–"),
            plain(model if flight is None else flight.model or model),
            Text(str(session.request_count), justify="right"),
            _rate(flight),
            Text(usd(cost), justify="right"),
        ],
        None if flight is None else flight.request_id,
    )


def _new_row(flight: InFlight) -> Row:
    cells = [_state(flight, None), Text(flight.session_id[:_SHORT_ID_CHARS]), plain("–"), plain(flight.model or "–")]
    cost = Text(usd(flight.cost_usd), justify="right")
    return Row(flight.session_id, [*cells, Text("1", justify="right"), _rate(flight), cost], flight.request_id)


def _state(flight: InFlight | None, tools: list[str] | None) -> Text:
    if flight is not None:
        is_begun = flight.time_to_first_byte_ms is not None
        return Text("streaming", style="green") if is_begun else Text("asking", style="cyan")
    if tools:
        more = f" +{len(tools) - 1}" if len(tools) > 1 else ""
        return Text(plain(tools[0]).plain + more, style="yellow")
    return Text("waiting", style="dim")


def _rate(flight: InFlight | None) -> Text:
    rate = None if flight is None else flight.tokens_per_second
    return Text("" if rate is None else short_count(round(rate)), justify="right")
