"""[pure] Sums, percentiles, hits and rows as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from .latency import Latency, Percentiles
from .render import milliseconds, plain, short_count, usd
from .search import MARK_BEGIN, MARK_END, Hit
from .sql import SqlResult
from .storage import Part
from .tools import ToolUsage
from .usage import Dimension, Usage

_CELL_CHARS = 200


def usage_table(found: Sequence[Usage], by: Sequence[Dimension]) -> Table:
    table = _table(by, ["req", "failed", "input", "cached", "output", "think", "cost", "no price"])
    for one in found:
        share = one.cached_share
        table.add_row(
            *(_group(one, name) for name in by),
            f"{one.requests:,}",
            f"{one.failures:,}",
            short_count(one.input_tokens),
            "–" if share is None else f"{share:.0%}",
            short_count(one.output_tokens),
            short_count(one.thinking_tokens),
            usd(one.total_cost_usd),
            f"{one.unpriced_requests:,}" if one.unpriced_requests else "",
        )
    return table


def storage_table(parts: Sequence[Part]) -> Table:
    table = _table(["what"], ["items", "bytes", "per exchange"])
    for one in parts:
        per_exchange = "" if one.bytes_per_exchange is None else f"{one.bytes_per_exchange:,.0f}"
        table.add_row(plain(one.name), f"{one.items:,}", f"{one.disk_bytes:,}", per_exchange)
    return table


def latency_table(found: Sequence[Latency], by: Sequence[Dimension]) -> Table:
    table = _table(by, ["req", "p50", "p95", "p99", "max", "ttft p50", "p95", "p99"])
    for one in found:
        values = [one.latency.p50_ms, one.latency.p95_ms, one.latency.p99_ms, one.latency.max_ms]
        values += [one.ttft.p50_ms, one.ttft.p95_ms, one.ttft.p99_ms]
        names = (_group(one, name) for name in by)
        table.add_row(*names, f"{one.latency.count:,}", *map(milliseconds, values))
    return table


def tool_table(found: Sequence[ToolUsage]) -> Table:
    table = _table(["tool"], ["calls", "failed", "time", "p50", "p95", "max"])
    for one in found:
        times: Percentiles = one.execution
        failed = f"{one.error_count:,} ({one.error_count / one.result_count:.0%})" if one.error_count else "0"
        durations = map(milliseconds, [one.total_execution_time_ms, times.p50_ms, times.p95_ms, times.max_ms])
        table.add_row(plain(one.tool), f"{one.call_count:,}", failed, *durations)
    return table


def sql_table(result: SqlResult) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name in result.columns:
        table.add_column(Text(name), overflow="fold")
    for row in result.rows:
        table.add_row(*(Text("NULL", style="dim") if value is None else plain(_short(value)) for value in row))
    return table


def hits_view(hits: Sequence[Hit]) -> Iterator[RenderableType]:
    """Each hit as a line that says where, and its snippet."""
    for hit in hits:
        head = f"{hit.session_started_at[:16]}  {hit.session_id}  {hit.kind.replace('_', ' ')}"
        yield Text(head, style="dim")
        yield _marked(hit.snippet)


def _marked(snippet: str) -> Text:
    text = Text("  ")
    for number, part in enumerate(" ".join(snippet.split()).split(MARK_BEGIN)):
        found, end, rest = part.partition(MARK_END) if number else ("", "", part)
        text.append_text(plain(found if end else "")).stylize("bold yellow", len(text) - len(found), len(text))
        text.append_text(plain(rest if end or not number else part))
    return text


def _group(one: Usage | Latency, name: Dimension) -> Text:
    text = str(getattr(one, name))
    return plain(text[:16] if name == "hour" else text)


def _short(value: object) -> str:
    text = value.hex() if isinstance(value, bytes) else str(value)
    return text if len(text) <= _CELL_CHARS else f"{text[:_CELL_CHARS]}…"


def _table(left: Sequence[str], right: Sequence[str]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for name in left:
        table.add_column(name, no_wrap=True, overflow="ellipsis", max_width=32)
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)
    return table
