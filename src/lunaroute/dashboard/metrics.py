"""`/metrics` for Prometheus (docs/metrics.md): the recorder's totals, and how relay, spool, recorder and sinks do.

In: the small files that the processes keep about themselves, the relay's health, and the disk; never the index, so that
a scrape costs the same however much is recorded. Out: text in the form that the scraper asks for.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from lunaroute import __version__
from lunaroute.alerts.ledger import read_firing
from lunaroute.config import Config
from lunaroute.events.totals import LONG_S, PICODOLLARS, SHORT_S, Buckets, ModelTotals, Totals
from lunaroute.shipping.worker import read_shipping
from lunaroute.sinks.totals_file import read_totals
from lunaroute.supervisor.health import relay_state
from lunaroute.supervisor.instance import RecorderInfo, find_server, read_recorder

_HEALTH_TIMEOUT_S = 1.0
_BY_MODEL: Final = ("provider", "model")
_TOKEN_KINDS: Final = ("input", "output", "thinking", "cache_read", "cache_creation")


def metrics_handler(config: Config) -> Callable[[Request], Awaitable[Response]]:
    """The handler of `/metrics`."""

    async def handle(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        registry = CollectorRegistry()
        registry.register(_Collected(config))
        return Response(await run_in_threadpool(encode, registry), media_type=content_type)

    return handle


class _Collected(Collector):
    """Everything, read at the moment it is asked for."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def describe(self) -> Iterator[Metric]:
        """Nothing: registering must not read everything once more."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        info = GaugeMetricFamily("lunaroute_info", "This program; always 1.", labels=["version"])
        info.add_metric([__version__], 1)
        yield info
        yield from _traffic(read_totals(self._config.run_dir))
        yield from _relay(self._config)
        yield from _recording(self._config, read_recorder(self._config.run_dir))
        yield from _sinks(self._config.run_dir)
        yield _alerts(self._config)


# ---- traffic


def _traffic(totals: Totals) -> Iterator[Metric]:
    models = [
        ((provider, model), found) for provider, by_name in totals.models.items() for model, found in by_name.items()
    ]
    yield from _exchanges(models)
    yield from _amounts(models)
    yield _rate_limits(models, time.time())
    yield from _tools(totals)
    overhead = HistogramMetricFamily("lunaroute_relay_overhead_seconds", "The relay's own time with an exchange.")
    _add_buckets(overhead, (), totals.overhead, SHORT_S)
    yield overhead
    yield _gauge("lunaroute_open_exchanges", "Exchanges without an end yet.", len(totals.open_exchanges))
    yield _counter("lunaroute_sessions_started", "Sessions begun.", totals.sessions_started)
    completed = CounterMetricFamily("lunaroute_sessions_completed", "Sessions over, by reason.", labels=["reason"])
    for reason, count in totals.sessions_completed.items():
        completed.add_metric([reason], count)
    yield completed


def _exchanges(models: list[tuple[tuple[str, str], ModelTotals]]) -> Iterator[Metric]:
    ended = CounterMetricFamily("lunaroute_exchanges", "Exchanges by how they ended.", labels=[*_BY_MODEL, "outcome"])
    duration = HistogramMetricFamily(
        "lunaroute_exchange_duration_seconds",
        "From the first byte sent to the provider to the last of its answer.",
        labels=_BY_MODEL,
    )
    ttft = HistogramMetricFamily(
        "lunaroute_time_to_first_token_seconds", "To the first content of an answer.", labels=_BY_MODEL
    )
    for names, found in models:
        for outcome, count in found.outcomes.items():
            ended.add_metric([*names, outcome], count)
        _add_buckets(duration, names, found.duration, LONG_S)
        _add_buckets(ttft, names, found.ttft, LONG_S)
    yield from (ended, duration, ttft)


def _amounts(models: list[tuple[tuple[str, str], ModelTotals]]) -> Iterator[Metric]:
    tokens = CounterMetricFamily(
        "lunaroute_tokens",
        "Tokens; input includes cache reads and writes, output includes thinking.",
        labels=[*_BY_MODEL, "kind"],
    )
    missed = CounterMetricFamily(
        "lunaroute_cache_missed_tokens", "Input that the cache should have had.", labels=_BY_MODEL
    )
    cost = CounterMetricFamily("lunaroute_cost_usd", "Cost at list prices, US dollars.", labels=_BY_MODEL)
    unpriced = CounterMetricFamily(
        "lunaroute_unpriced_exchanges", "Exchanges whose price nobody knows.", labels=_BY_MODEL
    )
    size = CounterMetricFamily(
        "lunaroute_body_bytes", "Bytes of bodies, by direction.", labels=[*_BY_MODEL, "direction"]
    )
    for names, found in models:
        for kind in _TOKEN_KINDS:
            tokens.add_metric([*names, kind], getattr(found, f"{kind}_tokens"))
        missed.add_metric(names, found.cache_missed_tokens)
        cost.add_metric(names, found.cost_picodollars / PICODOLLARS)
        unpriced.add_metric(names, found.unpriced_exchanges)
        size.add_metric([*names, "request"], found.request_bytes)
        size.add_metric([*names, "response"], found.response_bytes)
    yield from (tokens, missed, cost, unpriced, size)


def _rate_limits(models: list[tuple[tuple[str, str], ModelTotals]], now_s: float) -> Metric:
    used = GaugeMetricFamily(
        "lunaroute_rate_limit_used_ratio",
        "Used share of a provider's limit, 0 to 1, until its window ends.",
        labels=[*_BY_MODEL, "window"],
    )
    for names, found in models:
        for window, told in found.rate_limits.items():
            if told.is_in_force(now_s):
                used.add_metric([*names, window], told.used_share)
    return used


def _tools(totals: Totals) -> Iterator[Metric]:
    calls = CounterMetricFamily("lunaroute_tool_calls", "Tool calls that models asked for.", labels=["tool"])
    results = CounterMetricFamily("lunaroute_tool_results", "Results of tool calls that arrived.", labels=["tool"])
    errors = CounterMetricFamily("lunaroute_tool_errors", "Results that say the call failed.", labels=["tool"])
    time_s = HistogramMetricFamily(
        "lunaroute_tool_execution_seconds", "From the end of a call to the arrival of its result.", labels=["tool"]
    )
    for name, found in totals.tools.items():
        calls.add_metric([name], found.calls)
        results.add_metric([name], found.results)
        errors.add_metric([name], found.errors)
        _add_buckets(time_s, (name,), found.execution, LONG_S)
    yield from (calls, results, errors, time_s)


def _add_buckets(
    family: HistogramMetricFamily, labels: tuple[str, ...], buckets: Buckets, bounds_s: tuple[float, ...]
) -> None:
    counts = buckets.counts or [0] * (len(bounds_s) + 1)
    names = [*map(str, bounds_s), "+Inf"]
    family.add_metric(labels, list(zip(names, map(float, accumulate(counts)), strict=True)), buckets.sum)


# ---- the system


def _relay(config: Config) -> Iterator[Metric]:
    server = find_server(config.run_dir)
    info = None if server is None else server.info
    state = None if info is None else relay_state(info.host, info.port, info.run_id, _HEALTH_TIMEOUT_S)
    yield _gauge("lunaroute_relay_up", "1: the relay answers.", state is not None)
    yield _gauge("lunaroute_relay_recording", "1: the relay can write its spool.", state == "recording")


def _recording(config: Config, recorder: RecorderInfo | None) -> Iterator[Metric]:
    told = recorder or RecorderInfo()
    yield _gauge("lunaroute_spool_lag_bytes", "Bytes that passed and are not recorded yet.", told.lag_bytes or 0)
    yield _gauge("lunaroute_spool_disk_bytes", "What the spool takes on disk.", folder_bytes(config.spool_dir))
    age_s = 0.0 if told.updated_at is None else max(0.0, time.time() - told.updated_at)
    yield _gauge("lunaroute_recorder_silence_seconds", "Since the recorder last told about itself.", age_s)
    yield _counter(
        "lunaroute_unrecorded_exchanges",
        "Exchanges that passed while the spool could not be written.",
        told.unrecorded_exchanges or 0,
    )
    yield _counter("lunaroute_skipped_segments", "Damaged segments of the spool.", told.skipped_segments or 0)
    yield _gauge("lunaroute_dead_letters", "What could not be recorded as it should.", told.dead_letters or 0)
    failures = CounterMetricFamily(
        "lunaroute_recorder_failures", "Attempts at writing that were refused, since its start.", labels=["sink"]
    )
    for name, count in told.failures.items():
        failures.add_metric([name], count)
    yield failures
    folder = config.home if config.home.exists() else Path("/")
    yield _gauge("lunaroute_disk_free_bytes", "Free where the home lies.", shutil.disk_usage(folder).free)
    index_bytes = config.database.stat().st_size if config.database.exists() else 0
    yield _gauge("lunaroute_index_bytes", "Size of the index.", index_bytes)


def _sinks(run_dir: Path) -> Iterator[Metric]:
    shipping = read_shipping(run_dir)
    shipped = CounterMetricFamily("lunaroute_sink_events", "Events a sink has got, since its start.", labels=["sink"])
    failures = CounterMetricFamily("lunaroute_sink_failures", "Attempts that failed, likewise.", labels=["sink"])
    failing = GaugeMetricFamily("lunaroute_sink_failing", "1: the latest attempt failed.", labels=["sink"])
    for name, found in () if shipping is None else shipping.sinks.items():
        shipped.add_metric([name], found.shipped_events)
        failures.add_metric([name], found.failures)
        failing.add_metric([name], found.is_failing)
    yield from (shipped, failures, failing)


def _alerts(config: Config) -> Metric:
    firing = read_firing(config.alerts_dir)
    found = GaugeMetricFamily("lunaroute_alerts_firing", "Subjects for which a rule is exceeded.", labels=["rule"])
    for name in config.alerts:
        found.add_metric([name], len(firing.get(name, {})))
    return found


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(name, meaning, value=float(value))


def _counter(name: str, meaning: str, value: float) -> Metric:
    return CounterMetricFamily(name, meaning, value=float(value))


def folder_bytes(folder: Path) -> int:
    """What it takes on disk."""
    try:
        with os.scandir(folder) as entries:
            return sum(
                folder_bytes(Path(entry)) if entry.is_dir() else entry.stat().st_blocks * 512 for entry in entries
            )
    except OSError:
        return 0
