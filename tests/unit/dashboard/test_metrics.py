"""Every metric is moved by what it is about, and the Grafana dashboard asks for what there is."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from lunaroute.config import AlertConfig, Config
from lunaroute.dashboard.app import make_app
from lunaroute.events.totalling import add_event
from lunaroute.events.totals import RateLimit, Totals
from lunaroute.shipping.delivery import DeliveryInfo
from lunaroute.shipping.worker import ShippingInfo
from tests.builders import Call, SessionScript, tokens
from tests.docs.snippets import REPOSITORY

from .conftest import ORIGIN

Sample = tuple[str, tuple[tuple[str, str], ...]]


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    (tmp_path / "run").mkdir()
    app, site = make_app(Config(home=tmp_path, alerts={"daily": AlertConfig(when="spend per day > 1")}))
    with TestClient(app, base_url=ORIGIN) as client:
        yield client
    site.recordings.close()


def scraped(client: TestClient) -> dict[Sample, float]:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.text)
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for family in families for one in family.samples}


def of(samples: dict[Sample, float], name: str, **labels: str) -> float:
    return samples[name, tuple(sorted(labels.items()))]


def put(home: Path, name: str, value: object) -> None:
    (home / "run" / name).write_bytes(msgspec.json.encode(value))


MODEL = {"provider": "anthropic", "model": "m"}


def test_traffic_moves_its_metrics(client: TestClient, tmp_path: Path) -> None:
    read = Call("Read", "call_1")
    script = SessionScript("a", model="m").turn(
        "x", tokens=tokens(100, 20, 5, cache_read_tokens=60, cache_creation_tokens=10), cost_usd=0.25, calls=[read]
    )
    script.result(read, success=False, execution_ms=1500).turn("y", cost_usd=None, outcome="http_error").complete()
    totals = Totals()
    for event in script.ask().events:
        add_event(totals, event)
    of_model = totals.models["anthropic"]["m"]
    of_model.cache_missed_tokens = 7
    of_model.rate_limits = {"requests": RateLimit(0.5, time.time() + 60), "tokens": RateLimit(0.9, time.time() - 60)}
    put(tmp_path, "totals.json", totals)
    found = scraped(client)
    assert of(found, "lunaroute_exchanges_total", **MODEL, outcome="completed") == 1
    assert of(found, "lunaroute_exchanges_total", **MODEL, outcome="http_error") == 1
    assert of(found, "lunaroute_exchange_duration_seconds_count", **MODEL) == 2
    assert of(found, "lunaroute_exchange_duration_seconds_bucket", **MODEL, le="0.08") == 0
    assert of(found, "lunaroute_exchange_duration_seconds_bucket", **MODEL, le="0.16") == 2
    assert of(found, "lunaroute_exchange_duration_seconds_sum", **MODEL) == pytest.approx(0.2)
    assert of(found, "lunaroute_time_to_first_token_seconds_count", **MODEL) == 2
    kinds = {"input": 100, "output": 20, "thinking": 5, "cache_read": 60, "cache_creation": 10}
    assert {kind: of(found, "lunaroute_tokens_total", **MODEL, kind=kind) for kind in kinds} == kinds
    assert of(found, "lunaroute_cache_missed_tokens_total", **MODEL) == 7
    assert of(found, "lunaroute_cost_usd_total", **MODEL) == 0.25
    assert of(found, "lunaroute_unpriced_exchanges_total", **MODEL) == 1
    assert of(found, "lunaroute_body_bytes_total", **MODEL, direction="request") == 45
    assert of(found, "lunaroute_body_bytes_total", **MODEL, direction="response") == 2468
    assert of(found, "lunaroute_tool_calls_total", tool="Read") == 1
    assert of(found, "lunaroute_tool_results_total", tool="Read") == 1
    assert of(found, "lunaroute_tool_errors_total", tool="Read") == 1
    assert of(found, "lunaroute_tool_execution_seconds_sum", tool="Read") == 1.5
    assert of(found, "lunaroute_relay_overhead_seconds_count") == 2
    assert of(found, "lunaroute_open_exchanges") == 1
    assert of(found, "lunaroute_rate_limit_used_ratio", **MODEL, window="requests") == 0.5
    assert "tokens" not in {dict(labels).get("window") for _, labels in found}
    assert of(found, "lunaroute_sessions_started_total") == 1
    assert of(found, "lunaroute_sessions_completed_total", reason="ended") == 1


def test_the_system_moves_its_metrics(client: TestClient, tmp_path: Path) -> None:
    before = scraped(client)
    assert of(before, "lunaroute_relay_up") == 0
    told = {"lag_bytes": 5, "unrecorded_exchanges": 6, "dead_letters": 7, "skipped_segments": 8}
    put(tmp_path, "recorder.json", told | {"updated_at": time.time() - 100, "failures": {"sqlite": 9}})
    sinks = {"mine": DeliveryInfo(shipped_events=3, failures=4, is_failing=True)}
    put(tmp_path, "shipping.json", ShippingInfo(updated_at=0.0, sinks=sinks))
    (tmp_path / "alerts").mkdir()
    (tmp_path / "alerts" / "firing.json").write_text('{"daily": {"": {"since": "2026-11-22T10:00:00Z", "value": 2}}}')
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "segment").write_bytes(b"x" * 100_000)
    (tmp_path / "sessions").mkdir()
    (tmp_path / "sessions" / "sessions.db").write_bytes(b"x" * 10)
    found = scraped(client)
    assert of(found, "lunaroute_spool_lag_bytes") == 5
    assert of(found, "lunaroute_spool_disk_bytes") >= 100_000
    assert of(found, "lunaroute_unrecorded_exchanges_total") == 6
    assert of(found, "lunaroute_dead_letters") == 7
    assert of(found, "lunaroute_skipped_segments_total") == 8
    assert of(found, "lunaroute_recorder_silence_seconds") >= 99
    assert of(found, "lunaroute_recorder_failures_total", sink="sqlite") == 9
    assert of(found, "lunaroute_sink_events_total", sink="mine") == 3
    assert of(found, "lunaroute_sink_failures_total", sink="mine") == 4
    assert of(found, "lunaroute_sink_failing", sink="mine") == 1
    assert of(before, "lunaroute_alerts_firing", rule="daily") == 0
    assert of(found, "lunaroute_alerts_firing", rule="daily") == 1
    assert of(found, "lunaroute_index_bytes") == 10
    assert of(found, "lunaroute_disk_free_bytes") > 0


def test_names_of_clients_stay_names(client: TestClient, tmp_path: Path) -> None:
    name = 'x"} 1\nlunaroute_relay_up 1\\'
    totals = Totals()
    for event in SessionScript("a", model=name).turn().events:
        add_event(totals, event)
    put(tmp_path, "totals.json", totals)
    found = scraped(client)
    assert of(found, "lunaroute_relay_up") == 0
    assert of(found, "lunaroute_exchanges_total", provider="anthropic", model=name, outcome="completed") == 1


def test_open_metrics_are_given_to_who_asks_for_them(client: TestClient) -> None:
    answer = client.get("/metrics", headers={"accept": "application/openmetrics-text;version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert any(family.name == "lunaroute_info" for family in open_metrics(answer.text))


def test_metrics_are_behind_the_guard(client: TestClient) -> None:
    assert client.get("/metrics", headers={"host": "evil.example"}).status_code == 421
    assert client.get("/metrics", headers={"origin": "https://evil.example"}).status_code == 403


def _names(client: TestClient) -> set[str]:
    lines = client.get("/metrics").text.splitlines()
    kinds = dict(line.split()[2:4] for line in lines if line.startswith("# TYPE "))
    return {name for name in kinds if not name.endswith("_created")}


def test_the_page_names_every_metric_and_no_other(client: TestClient) -> None:
    page = (REPOSITORY / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`(lunaroute_\w+)`", page)) == _names(client)


def test_the_grafana_dashboard_asks_for_what_there_is(client: TestClient) -> None:
    board = json.loads((REPOSITORY / "contrib" / "grafana" / "lunaroute.json").read_bytes())
    asked = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    asked += [variable["query"]["query"] for variable in board["templating"]["list"] if variable["type"] == "query"]
    named = {name for expression in asked for name in re.findall(r"lunaroute_\w+", expression)}
    assert len(named) > 15
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in named} - _names(client) == set()
