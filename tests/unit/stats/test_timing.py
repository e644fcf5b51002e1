"""Times of an exchange, each by its definition."""

from __future__ import annotations

import pytest

from lunaroute.dialects.facts import Milestone
from lunaroute.stats import chunk_gaps, measure, percentile, stream_points
from tests.exchanges import MS, ExchangeScript


def stream() -> ExchangeScript:
    script = ExchangeScript(opened_ms=0, sent_ms=10)
    script.answer(200, at_ms=110)
    for at_ms in (120, 130, 150, 190):
        script.chunk(b"x", at_ms=at_ms)
    return script


def test_times_of_a_stream_count_from_the_first_byte_sent() -> None:
    milestones = [Milestone(event_type="first_token", t_ns=stream().t_ns(130))]
    timing = measure(stream().close(at_ms=200, pre_ms=2, post_ms=3), milestones)
    assert timing.latency_ns == 180 * MS
    assert timing.ttfb_ns == 100 * MS
    assert timing.ttft_ns == 120 * MS
    assert timing.generation_ns == 60 * MS
    assert timing.streaming_ns == 70 * MS
    assert timing.total_ns == 200 * MS
    assert timing.overhead_ns == 5 * MS


def test_a_response_in_one_piece_has_no_first_token_and_generates_all_the_time() -> None:
    timing = measure(stream().close(at_ms=200), [])
    assert timing.ttft_ns is None
    assert timing.generation_ns == timing.latency_ns == 180 * MS


def test_a_request_never_sent_has_no_latency() -> None:
    timing = measure(ExchangeScript(sent_ms=None).close(at_ms=50, outcome="upstream_unreachable"), [])
    assert (timing.latency_ns, timing.ttfb_ns, timing.ttft_ns, timing.generation_ns) == (None, None, None, None)


def test_waiting_in_vain_is_latency_too() -> None:
    timing = measure(ExchangeScript(sent_ms=10).close(at_ms=50, outcome="upstream_cut"), [])
    assert (timing.latency_ns, timing.ttfb_ns) == (40 * MS, None)


def test_a_response_without_body_ends_with_its_head() -> None:
    script = ExchangeScript(sent_ms=10)
    script.answer(204, at_ms=30)
    assert measure(script.close(at_ms=50), []).latency_ns == 20 * MS


def test_an_exchange_that_has_not_ended_has_no_times() -> None:
    with pytest.raises(ValueError, match="not ended"):
        measure(ExchangeScript().exchange, [])


def test_chunk_gaps_are_statistics_of_the_silences() -> None:
    gaps = chunk_gaps(stream().close(at_ms=200).response_chunks)
    assert (gaps.min_ms, gaps.max_ms, gaps.p50_ms) == (10.0, 40.0, 20.0)
    assert gaps.avg_ms == pytest.approx(70 / 3)
    assert gaps.p95_ms == pytest.approx(38.0)


def test_one_read_has_no_gaps() -> None:
    assert chunk_gaps([(5, b"x")]).avg_ms is None


def test_stream_points_are_in_order_of_time_and_name_stalls() -> None:
    script = ExchangeScript(sent_ms=0)
    script.answer(200, at_ms=100)
    script.chunk(b"x", at_ms=110)
    script.chunk(b"x", at_ms=5110)
    script.chunk(b"x", at_ms=10109)
    exchange = script.close(at_ms=11_000)
    points = stream_points(exchange, [Milestone(event_type="first_token", t_ns=script.t_ns(110))])
    assert [(point.type, (point.t_ns - script.t_ns(0)) // MS) for point in points] == [
        ("first_byte", 100),
        ("first_token", 110),
        ("stall", 5110),
    ]
    assert points[-1].content == "5000 ms"


@pytest.mark.parametrize(("percent", "expected"), [(0, 1.0), (50, 2.5), (100, 4.0), (95, 3.85)])
def test_percentiles_interpolate_between_the_nearest_ranks(percent: float, expected: float) -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], percent) == pytest.approx(expected)


def test_no_values_have_no_percentile() -> None:
    assert percentile([], 50) is None
