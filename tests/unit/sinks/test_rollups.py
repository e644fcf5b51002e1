"""The roll-ups say what the single rows say."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lunaroute.stats import histogram
from tests.builders import TEN_OCLOCK, Call, SessionScript, tokens

from .conftest import Index


@pytest.fixture
def scripts(index: Index) -> list[SessionScript]:
    """Six sessions over seven hours and two clients; some calls fail, one exchange does."""
    scripts = []
    for number in range(6):
        start = TEN_OCLOCK + timedelta(minutes=70 * number)
        script = SessionScript(f"s{number}", start, model="opus", client=("codex", None)[number % 2], tags=["nightly"])
        for turn in range(5):
            call = Call(("Read", "Bash")[turn % 2], f"c{number}{turn}")
            script.turn(tokens=tokens(10, 3, 1), cost_usd=0.1, calls=[call], latency_ms=100.0 * (turn + number))
            script.result(call, execution_ms=50.0 * turn, success=turn != 3)
        scripts.append(script.turn(cost_usd=None, outcome="upstream_cut").complete())
    for script in scripts:
        for at in range(0, len(script.events), 4):
            index.sink.write_batch(script.events[at : at + 4])
    return scripts


def test_hours_add_up_to_the_exchanges(index: Index, scripts: list[SessionScript]) -> None:
    single = (
        "SELECT strftime('%Y-%m-%d %H:00:00', e.started_at), e.provider, e.model_name,"
        " coalesce(s.client_name, 'unknown'), count(*), sum(e.success), sum(e.input_tokens),"
        " round(sum(e.total_cost_usd), 9), sum(e.provider_latency_ms)"
        " FROM session_stats e JOIN sessions s USING (session_id) GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"
    )
    rolled_up = (
        "SELECT hour, provider, model_name, client_name, requests, successes, input_tokens, round(total_cost_usd, 9),"
        " provider_latency_ms FROM hourly_stats ORDER BY 1, 2, 3, 4"
    )
    assert index.query(rolled_up) == index.query(single)
    assert len(index.query(rolled_up)) > 6


def test_days_add_up_to_the_hours(index: Index, scripts: list[SessionScript]) -> None:
    sums = "sum(requests), sum(failures), sum(total_tokens), round(sum(total_cost_usd), 9), sum(unpriced_requests)"
    days = index.query(f"SELECT {sums} FROM daily_stats")
    assert days == index.query(f"SELECT {sums} FROM hourly_stats") == [(36, 6, 390, 3.0, 6)]


def test_latencies_of_an_hour_are_those_of_its_exchanges(index: Index, scripts: list[SessionScript]) -> None:
    stored = index.query("SELECT latency_histogram, ttft_histogram FROM hourly_latencies")
    latency = sum(histogram.unpack(row[0]) for row in stored)
    slowest = max(row[0] for row in index.query("SELECT provider_latency_ms FROM session_stats"))
    assert sum(count for _, count in histogram.buckets(latency)) == 36
    assert histogram.percentile(latency, 100) == pytest.approx(slowest, rel=0.02)
    assert histogram.percentile(sum(histogram.unpack(row[1]) for row in stored), 100) == pytest.approx(
        slowest / 2, rel=0.02
    )


def test_latencies_of_a_day_are_those_of_its_hours(index: Index, scripts: list[SessionScript]) -> None:
    index.write(SessionScript("later").turn())  # a batch of its own adds to a day that is there
    sums = "latency_histogram, ttft_histogram, provider, model_name, client_name"
    hours = index.query(f"SELECT substr(hour, 1, 10), {sums} FROM hourly_latencies")
    expected: dict[tuple[str, ...], list[int]] = {}
    for day, latency, ttft, *names in hours:
        both = expected.setdefault((day, *names), [0, 0])
        both[0] += histogram.unpack(latency)
        both[1] += histogram.unpack(ttft)
    days = index.query(f"SELECT day, {sums} FROM daily_latencies")
    assert len(days) < len(hours)
    assert expected == {
        (day, *names): [histogram.unpack(latency), histogram.unpack(ttft)] for day, latency, ttft, *names in days
    }


def test_tools_of_a_day_are_those_of_its_calls(index: Index, scripts: list[SessionScript]) -> None:
    rolled_up = index.query(
        "SELECT tool_name, sum(call_count), sum(result_count), sum(error_count), sum(total_execution_time_ms)"
        " FROM daily_tool_stats GROUP BY 1 ORDER BY 1"
    )
    assert rolled_up == [("Bash", 12, 12, 6, 1200.0), ("Read", 18, 18, 0, 1800.0)]


def test_a_session_is_found_by_each_of_its_values(index: Index, scripts: list[SessionScript]) -> None:
    of_first = "SELECT kind, value FROM session_facets WHERE session_id = ? ORDER BY kind, value"
    assert index.query(of_first, scripts[0].session_id) == [
        *(("client", "codex"), ("model", "opus"), ("model", "opus-20250929")),
        *(("outcome", "completed"), ("outcome", "upstream_cut"), ("provider", "anthropic")),
        *(("source", "wire"), ("status", "200"), ("status", "529"), ("tag", "nightly")),
        *(("tool", "Bash"), ("tool", "Read")),
    ]


def test_the_same_events_again_add_nothing(index: Index, scripts: list[SessionScript]) -> None:
    before = index.query("SELECT * FROM hourly_stats"), index.query("SELECT * FROM daily_tool_stats")
    index.write(*scripts)
    assert (index.query("SELECT * FROM hourly_stats"), index.query("SELECT * FROM daily_tool_stats")) == before
