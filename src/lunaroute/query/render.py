"""[pure] Lists and transcripts as text for a terminal, readable from 80 columns on.

In: summaries and transcripts. Out: rich renderables. Recorded text is never markup and never a terminal command:
control characters are made visible.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from lunaroute.events import Event
from lunaroute.events.types import Completed, RequestRecorded, ResponseRecorded, Started, ToolCallRecorded

from .sessions import SessionSummary
from .transcript import ToolUseView, Transcript, Turn

_SHORT_ID_CHARS = 13
"""A UUIDv7's milliseconds: unique but for sessions that start in the same one."""
_TEXT_LINES = 40
_RESULT_LINES = 6
_LINE_CHARS = 100
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def session_table(sessions: Sequence[SessionSummary]) -> Table:
    """One line per session."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, expand=True)
    table.add_column("id", no_wrap=True)
    table.add_column("start (UTC)", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("model", no_wrap=True, overflow="ellipsis", max_width=17)
    table.add_column("req", justify="right", no_wrap=True)
    table.add_column("tokens", justify="right", no_wrap=True)
    table.add_column("cost", justify="right", no_wrap=True)
    table.add_column("said first", no_wrap=True, overflow="ellipsis", ratio=1, min_width=8)
    width = _id_chars(sessions)
    for one in sessions:
        table.add_row(
            one.session_id[:width],
            one.started_at[5:16],
            _status(one),
            plain(one.model_used or one.model_requested or "–"),
            str(one.request_count),
            short_count(one.total_tokens),
            usd(one.total_cost_usd),
            plain(" ".join((one.first_text or "").split())),
        )
    return table


def transcript_view(
    summary: SessionSummary, transcript: Transcript, *, is_thinking_shown: bool = False, is_full: bool = False
) -> Iterator[RenderableType]:
    """The whole session, turn by turn; long texts are cut unless `is_full`, and what was thought is folded into a
    line."""
    text_lines, result_lines = (sys.maxsize, sys.maxsize) if is_full else (_TEXT_LINES, _RESULT_LINES)
    yield _heading(summary)
    for number, turn in enumerate(transcript.turns, start=1):
        yield Text()
        yield _turn_line(number, turn)
        yield from _said("user", turn.request_text, text_lines)
        yield from _thought(turn, is_thinking_shown, text_lines)
        yield from _said("model", turn.response_text, text_lines)
        for call in turn.tool_calls:
            yield from _tool(call, result_lines)
        if turn.error or turn.outcome not in {"completed", None}:
            yield Padding(Text(f"{turn.outcome}: {_clean(turn.error or '')}", style="red"), (0, 0, 0, 2))
    for bad in transcript.bad_lines:
        yield Text(f"unreadable: {_clean(str(bad))}", style="red")


def event_line(event: Event) -> Text:
    """One event as one line."""
    match event:
        case RequestRecorded():
            facts = [event.model_requested or event.target, _one_line(event.request_text)]
        case ResponseRecorded():
            cost = event.stats.estimated_cost
            amount = usd(None if cost is None else cost.total_cost_usd)
            spent = f"{short_count(event.stats.tokens.total_tokens)} tokens {amount}"
            took = milliseconds(event.stats.provider_latency_ms)
            facts = [event.outcome, spent, took, _one_line(event.response_text)]
        case ToolCallRecorded():
            mark = {True: "ok", False: "failed", None: "returned"}[event.success]
            facts = [event.tool_name, mark, milliseconds(event.execution_time_ms), _one_line(event.output_text)]
        case Started():
            facts = [event.metadata.client.name or "–", event.provider]
        case Completed():
            facts = [event.reason, usd(event.final_stats.estimated_cost.total_cost_usd)]
        case _:
            facts = []
    line = Text(f"{event.timestamp[11:19]} {event.session_id[:_SHORT_ID_CHARS]} ", style="dim")
    kind = str(event.__struct_config__.tag).removesuffix("_recorded").replace("_", " ")
    return line.append(f"{kind:<10} ", style="not dim bold").append(_clean("  ".join(facts)), style="not dim")


def _one_line(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _LINE_CHARS else f"{words[:_LINE_CHARS]}…"


def plain(text: str) -> Text:
    """Recorded text, as it is but for control characters."""
    return Text(_clean(text))


def usd(amount: float | None) -> str:
    """`$0.0123`; `–` = not known. Small amounts keep four digits, large ones two."""
    if amount is None:
        return "–"
    return f"${amount:.4f}" if abs(amount) < 10 else f"${amount:,.2f}"


def short_count(count: int | None) -> str:
    """`950`, `12.3k`, `4.5M`; `–` = not known."""
    if count is None:
        return "–"
    if count < 1000:
        return str(count)
    return f"{count / 1000:.1f}k" if count < 999_950 else f"{count / 1e6:.1f}M"


def milliseconds(duration_ms: float | None) -> str:
    """`12.3 ms`, `4.56 s`; `–` = not known."""
    if duration_ms is None:
        return "–"
    return f"{duration_ms:.1f} ms" if duration_ms < 1000 else f"{duration_ms / 1000:.2f} s"


def _time_spent(one: SessionSummary) -> str:
    whole = milliseconds(one.total_duration_ms)
    if one.source == "transcript":
        return f"{whole}, as the client wrote it down"
    provider, own = milliseconds(one.provider_latency_ms), milliseconds(one.proxy_overhead_ms)
    return f"{whole}, provider {provider}, our own {own}"


def _id_chars(sessions: Sequence[SessionSummary]) -> int:
    """As few characters as still tell the listed sessions apart."""
    ids = [one.session_id for one in sessions]
    for width in range(_SHORT_ID_CHARS, 36):
        if len({one[:width] for one in ids}) == len(ids):
            return width
    return 36


def _status(one: SessionSummary) -> Text:
    if one.completed_at is None:
        return Text("live", style="cyan")
    if one.success is False:
        return Text("fail", style="red")
    return Text("ok", style="green")


def _heading(one: SessionSummary) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    client = " ".join(part for part in (one.client_name, one.client_version) if part)
    ended = f"ended {one.completed_at}" if one.completed_at else "still running"
    rows = {
        "session": one.session_id,
        "started": f"{one.started_at} UTC, {ended}",
        "client": client or "–",
        "model": f"{one.model_used or one.model_requested or '–'} ({one.provider or '–'})",
        "exchanges": f"{one.request_count}, {one.error_count} failed, {one.tool_call_count} tool calls",
        "tokens": f"{short_count(one.total_tokens)} = {short_count(one.input_tokens)} in"
        f" + {short_count(one.output_tokens)} out ({short_count(one.thinking_tokens)} thinking)",
        "cost": usd(one.total_cost_usd)
        + (f", {one.unpriced_requests} exchanges without a price" if one.unpriced_requests else ""),
        "time": _time_spent(one),
    }
    if one.source == "transcript":
        rows["source"] = "the client's own transcript: without bytes, latencies and counts that it did not know"
    if one.continues:
        rows["continues"] = one.continues
    if one.tags:
        rows["tags"] = ", ".join(one.tags)
    for name, value in rows.items():
        table.add_row(name, plain(value))
    return table


def _turn_line(number: int, turn: Turn) -> Text:
    tokens = turn.tokens
    facts = [
        turn.timestamp[11:19],
        turn.model or "–",
        f"{short_count(tokens.input_tokens)} in, {short_count(tokens.output_tokens)} out",
        usd(turn.total_cost_usd),
        milliseconds(turn.provider_latency_ms),
    ]
    if turn.tokens.cache_read_tokens:
        facts.append(f"{short_count(turn.tokens.cache_read_tokens)} cached")
    if turn.cache_lost_tokens:
        facts.append(
            f"cache lost: {short_count(turn.cache_lost_tokens)} tokens read anew"
            f" ({(turn.cache_lost_reason or 'unknown').replace('_', ' ')}, {usd(turn.cache_lost_cost_usd)})"
        )
    if turn.goes_on_from is not None:
        facts.append(f"goes on from #{turn.goes_on_from}, {turn.whole_item_count} items in all")
    if turn.is_prewarm:
        facts.append("prewarm")
    if turn.outcome is None:
        facts.append("no response yet")
    line = Text(f"#{number}  ", style="bold")
    return line.append(_clean(" · ".join(facts)), style="not bold dim")


def _thought(turn: Turn, is_shown: bool, max_lines: int) -> Iterator[RenderableType]:
    text = turn.thinking_text.strip()
    if text:
        folded = f"{len(text.splitlines())} lines, {short_count(turn.tokens.thinking_tokens)} tokens"
        yield _labelled("thought", _clip(text, max_lines) if is_shown else folded, "italic dim")


def _said(who: str, text: str, max_lines: int) -> Iterator[RenderableType]:
    if text.strip():
        yield _labelled(who, _clip(text, max_lines), "bold cyan" if who == "user" else "bold green")


def _tool(call: ToolUseView, max_lines: int) -> Iterator[RenderableType]:
    mark = {True: "ok", False: "failed", None: "returned"}[call.success]
    state = "no result yet" if call.output_text is None else f"{mark}, {milliseconds(call.execution_time_ms)}"
    yield _labelled("tool", f"{call.tool_name} {_clip(call.arguments, max_lines)}  [{state}]", "bold yellow")
    if call.output_text and call.output_text.strip():
        yield _labelled("", _clip(call.output_text, max_lines), "dim")


def _labelled(label: str, text: str, style: str) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(width=7, justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(Text(label, style=style), plain(text))
    return table


def _clip(text: str, max_lines: int) -> str:
    lines = text.strip("\n").splitlines()
    if len(lines) <= max_lines:
        return "\n".join(lines)
    return "\n".join([*lines[:max_lines], f"… {len(lines) - max_lines} more lines"])


def _clean(text: str) -> str:
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))
