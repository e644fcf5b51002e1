"""Pages about LunaRoute itself: SQL console, health, set-up."""

from __future__ import annotations

from starlette.responses import Response

from lunaroute.dashboard.endpoints import SQL_ROWS, SQL_SECONDS
from lunaroute.dashboard.health import read_health
from lunaroute.query.ask import tables_of
from lunaroute.query.sessions import list_sessions
from lunaroute.supervisor.health import base_url
from lunaroute.supervisor.instance import find_server

from .call import PageCall
from .sessions import session_rows

EXAMPLES = (
    (
        "Spend by day",
        "SELECT day, round(sum(total_cost_usd), 4) AS usd, sum(requests) AS requests\nFROM daily_stats GROUP BY day"
        " ORDER BY day DESC LIMIT 30",
    ),
    (
        "Most used tools",
        "SELECT tool_name, sum(call_count) AS calls, sum(error_count) AS errors\nFROM daily_tool_stats"
        " GROUP BY tool_name ORDER BY calls DESC",
    ),
    (
        "Slowest exchanges of the last week",
        "SELECT started_at, model_name, round(provider_latency_ms) AS latency_ms, session_id\nFROM session_stats"
        " WHERE started_at > datetime('now', '-7 days')\nORDER BY provider_latency_ms DESC LIMIT 20",
    ),
    (
        "What missed cache hits cost",
        "SELECT cache_miss_reason, count(*) AS misses, round(sum(cache_miss_cost_usd), 4) AS usd\nFROM session_stats"
        " WHERE cache_missed_tokens > 0 AND started_at > datetime('now', '-30 days')\nGROUP BY 1 ORDER BY usd DESC",
    ),
)


def sql_page(call: PageCall) -> Response:
    return call.show(
        "sql.html",
        page="sql",
        title="SQL",
        examples=EXAMPLES,
        queries=call.site.marks.read().queries,
        tables=[] if call.index is None else tables_of(call.index),
        max_rows=SQL_ROWS,
        max_seconds=SQL_SECONDS,
        statement=call.request.query_params.get("statement") or EXAMPLES[0][1],
    )


def health_page(call: PageCall) -> Response:
    return call.show("health.html", page="health", title="Health", health=read_health(call.site.config, call.index))


def setup_page(call: PageCall) -> Response:
    settings, server = call.site.config.server, find_server(call.site.config.run_dir)
    info = None if server is None else server.info
    url = base_url(settings.host, settings.port) if info is None else base_url(info.host, info.port)
    return call.show(
        "setup.html", page="setup", title="Set-up", url=url, is_running=info is not None, rows=_newest(call)
    )


def first_part(call: PageCall) -> Response:
    return call.show("parts/first.html", page="setup", title="First request", rows=_newest(call))


def _newest(call: PageCall) -> list[object]:
    if call.index is None:
        return []
    found = list_sessions(call.index, limit=1).items
    return list(session_rows(call.index, found, call.asked, call.site.marks.read()))
