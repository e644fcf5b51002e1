"""The fold of records into exchanges: each comes out once, however lanes and exchanges are interleaved."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunaroute.assemble.assembler import Assembler
from lunaroute.assemble.exchange import (
    Assembled,
    Exchange,
    ExchangeEnded,
    ExchangeKey,
    RecordingGap,
    RequestReceived,
    RunEnded,
    RunStarted,
)
from lunaroute.assemble.wall_time import wall_ns_at
from lunaroute.capture.records import (
    ExchangeClosed,
    Outcome,
    Record,
    RecordsLost,
    RelayStarted,
    RelayStopped,
    RequestChunk,
    RequestOpened,
    ResponseChunk,
    ResponseOpened,
)


def start(run_id: str = "run", wall_ns: int = 1000) -> RelayStarted:
    return RelayStarted(1, wall_ns, run_id, 1, "1")


def opened(exchange: int, t_ns: int = 10) -> RequestOpened:
    return RequestOpened(
        exchange=exchange,
        t_ns=t_ns,
        wall_ns=5000 + t_ns,
        request_id=f"id-{exchange}",
        listener="openai",
        provider="openai",
        method="POST",
        target="/",
        path="/",
        http_version="1.1",
        header_lines=b"",
        client_ip="",
        session_tags=[],
        credential=None,
    )


def closed(exchange: int, outcome: Outcome = "completed") -> ExchangeClosed:
    return ExchangeClosed(exchange, 90, outcome, None, 20, 1, 1)


def whole(exchange: int) -> list[Record]:
    data = b"%d" % exchange
    return [
        opened(exchange),
        RequestChunk(exchange, 11, b"q" + data, None),
        RequestChunk(exchange, 12, b"?", 3),
        ResponseOpened(exchange, 50, 200, "OK", b""),
        ResponseChunk(exchange, 51, b"a" + data),
        ResponseChunk(exchange, 52, b"!"),
        closed(exchange),
    ]


class Told:
    """An assembler and a transcript of what it said: (what, request id or detail)."""

    def __init__(self) -> None:
        self.assembler = Assembler()
        self.out: list[Assembled] = []

    def feed(self, lane: str, *records: Record) -> list[tuple[str, object]]:
        out = [item for record in records for item in self.assembler.feed(lane, record)]
        self.out += out
        return transcript(out)

    def ended(self) -> list[Exchange]:
        return [item.exchange for item in self.out if isinstance(item, ExchangeEnded)]


def transcript(out: Iterable[Assembled]) -> list[tuple[str, object]]:
    lines: list[tuple[str, object]] = []
    for item in out:
        if isinstance(item, (RequestReceived, ExchangeEnded)):
            lines.append((type(item).__name__, item.exchange.request_id))
        elif isinstance(item, RunStarted):
            lines.append(("RunStarted", item.run_id))
        elif isinstance(item, RunEnded):
            lines.append(("RunEnded", item.wall_ns))
        else:
            lines.append(("RecordingGap", item.exchange_count))
    return lines


def of(exchange: int) -> list[tuple[str, object]]:
    return [("RequestReceived", f"id-{exchange}"), ("ExchangeEnded", f"id-{exchange}")]


def test_exchange_comes_when_its_request_is_whole_and_when_it_is_over() -> None:
    told = Told()
    assert told.feed("w0", start()) == [("RunStarted", "run")]
    records = whole(7)
    assert told.feed("w0", *records[:2]) == []
    assert told.feed("w0", records[2]) == of(7)[:1]
    assert told.feed("w0", *records[3:-1]) == []
    assert told.feed("w0", records[-1]) == of(7)[1:]
    (exchange,) = told.ended()
    assert (exchange.request_body, exchange.response_body) == (b"q7?", b"a7!")
    assert exchange.response_chunks == [(51, b"a7"), (52, b"!")]
    assert (exchange.request_ended_ns, exchange.pre_processing_ns) == (12, 3)
    assert exchange.key == ExchangeKey("w0", 1000, 7)
    assert exchange.closed == records[-1]
    assert wall_ns_at(exchange, 51) == 5000 + 51
    assert list(told.assembler.open_exchanges()) == []


def test_request_and_end_share_one_exchange() -> None:
    told = Told()
    told.feed("w0", start(), *whole(1))
    received, ended = told.out[1:]
    assert isinstance(received, RequestReceived)
    assert isinstance(ended, ExchangeEnded)
    assert received.exchange is ended.exchange


@given(st.integers(1, 5), st.integers(1, 3), st.randoms(use_true_random=False))
def test_interleaving_changes_nothing_but_the_order(count: int, lanes: int, rng: random.Random) -> None:
    streams = {(f"w{lane}", number): whole(number) for lane in range(lanes) for number in range(1, count + 1)}
    told = Told()
    for lane in range(lanes):
        told.feed(f"w{lane}", start())
    while streams:
        key = rng.choice(sorted(streams))
        told.feed(key[0], streams[key].pop(0))
        if not streams[key]:
            del streams[key]
    found = {(e.key.lane, e.key.exchange): (e.request_body, e.response_body) for e in told.ended()}
    assert len(told.ended()) == count * lanes == len(found)
    assert all(bodies == (b"q%d?" % number, b"a%d!" % number) for (_, number), bodies in found.items())
    assert told.assembler.stray_records == 0
    received = [item for item in told.out if isinstance(item, RequestReceived)]
    assert len(received) == count * lanes


def test_answer_may_come_before_the_request_is_whole() -> None:
    told = Told()
    told.feed("w0", start(), opened(1), RequestChunk(1, 11, b"a", None), ResponseOpened(1, 20, 413, "", b""))
    assert told.feed("w0", ResponseChunk(1, 21, b"x"), RequestChunk(1, 30, b"b", 5)) == of(1)[:1]
    assert told.feed("w0", closed(1)) == of(1)[1:]
    assert told.ended()[0].request_body == b"ab"


def test_request_that_never_became_whole_is_received_as_far_as_it_came() -> None:
    told = Told()
    told.feed("w0", start(), opened(1), RequestChunk(1, 11, b"a", None))
    assert told.feed("w0", closed(1, "client_cancelled")) == of(1)
    (exchange,) = told.ended()
    assert (exchange.is_request_complete, exchange.request_ended_ns, exchange.request_body) == (False, None, b"a")


def test_request_without_a_body_has_none() -> None:
    told = Told()
    assert told.feed("w0", start(), opened(1), RequestChunk(1, 11, b"", 5))[1:] == of(1)[:1]
    assert next(told.assembler.open_exchanges()).request_chunks == []


@pytest.mark.parametrize(("count", "last_ns"), [(1, 10), (2, 10), (3, 12), (4, 50), (5, 51), (6, 52)], ids=str)
@pytest.mark.parametrize("how", ["restart", "stop", "death", "loss"])
def test_open_exchange_is_interrupted_at_the_last_thing_known(how: str, count: int, last_ns: int) -> None:
    told = Told()
    told.feed("w0", start(), *whole(1)[:count])
    if how == "death":
        told.out += told.assembler.lane_died("w0")
    else:
        ends: dict[str, Record] = {"restart": start(wall_ns=2000), "stop": RelayStopped(99, 99), "loss": lost(1)}
        told.feed("w0", ends[how])
    (exchange,) = told.ended()
    assert exchange.closed is not None
    assert (exchange.closed.outcome, exchange.closed.t_ns) == ("interrupted", last_ns)
    assert exchange.closed.detail
    assert transcript(told.out).count(("RequestReceived", "id-1")) == 1
    assert list(told.assembler.open_exchanges()) == []


def test_request_that_went_on_after_an_early_answer_counts_as_the_last_thing_known() -> None:
    told = Told()
    told.feed("w0", start(), opened(1), ResponseOpened(1, 20, 200, "", b""), RequestChunk(1, 30, b"b", 5))
    told.out += told.assembler.lane_died("w0")
    ended = told.ended()[0].closed
    assert ended is not None
    assert ended.t_ns == 30


def lost(count: int) -> RecordsLost:
    return RecordsLost(t_ns=80, wall_ns=9000, since_wall_ns=8000, exchange_count=count, reason="disk full")


def test_gap_interrupts_what_was_open_in_its_lane_only() -> None:
    told = Told()
    told.feed("w0", start(), *whole(1)[:4])
    told.feed("w1", start(), *whole(2)[:4])
    assert told.feed("w0", lost(3)) == [("ExchangeEnded", "id-1"), ("RecordingGap", 3)]
    assert told.out[-1] == RecordingGap(since_wall_ns=8000, wall_ns=9000, exchange_count=3, reason="disk full")
    assert told.feed("w0", *whole(1)[4:]) == []
    assert told.assembler.stray_records == 3
    assert told.feed("w1", *whole(2)[4:]) == of(2)[1:]
    assert told.feed("w0", *whole(4)) == of(4)


def test_lane_that_died_is_told_once_and_may_start_again() -> None:
    told = Told()
    told.feed("w0", start(), *whole(1)[:3])
    assert told.assembler.running_lanes() == ["w0"]
    assert transcript(told.assembler.lane_died("w0")) == of(1)[1:]
    assert told.assembler.lane_died("w0") == told.assembler.lane_died("nobody") == []
    assert told.assembler.running_lanes() == []
    assert told.feed("w0", start(wall_ns=2000), *whole(1)) == of(1)
    assert told.ended()[-1].key == ExchangeKey("w0", 2000, 1)


def test_run_begins_with_its_first_lane_and_ends_with_its_last() -> None:
    told = Told()
    assert told.feed("w0", start("a")) == [("RunStarted", "a")]
    assert told.feed("w1", start("a")) == []
    assert told.feed("w0", start("a", 1500)) == []  # a worker that was started again
    assert told.feed("w1", RelayStopped(9, 99)) == []
    assert told.feed("w0", RelayStopped(9, 100)) == [("RunEnded", 100)]
    assert told.feed("w0", start("b", 2000)) == [("RunStarted", "b")]
    assert told.assembler.run_id == "b"


def test_run_whose_last_relay_is_found_dead_after_the_others_stopped_ends_then() -> None:
    told = Told()
    told.feed("w0", start("a"))
    told.feed("w1", start("a"), *whole(1)[:3])
    assert told.feed("w0", RelayStopped(9, 99)) == []
    assert transcript(told.assembler.lane_died("w1")) == [*of(1)[1:], ("RunEnded", 99)]
    assert told.assembler.lane_died("w1") == []


def test_run_whose_relays_were_all_killed_goes_on() -> None:
    told = Told()
    told.feed("w0", start("a"))
    told.feed("w1", start("a"))
    assert told.assembler.lane_died("w0") == told.assembler.lane_died("w1") == []
    assert told.feed("w0", start("a", 2000)) == []


def test_lane_of_an_earlier_run_does_not_end_the_present_one() -> None:
    told = Told()
    told.feed("w0", start("a"), *whole(1)[:3])
    told.feed("w1", start("b"))
    assert told.feed("w0", RelayStopped(9, 99)) == of(1)[1:]
    assert told.feed("w1", RelayStopped(9, 100)) == [("RunEnded", 100)]


def test_open_exchanges_end_before_the_run_does() -> None:
    told = Told()
    told.feed("w0", start(), *whole(1)[:3])
    assert told.feed("w0", RelayStopped(9, 99)) == [*of(1)[1:], ("RunEnded", 99)]


@pytest.mark.parametrize("record", [*whole(1), RelayStopped(1, 1), lost(1)], ids=lambda record: type(record).__name__)
def test_record_of_nothing_known_is_counted_and_does_no_harm(record: Record) -> None:
    told = Told()
    told.feed("w9", record)
    assert told.ended() == []
    assert told.assembler.stray_records == int(not isinstance(record, (RelayStopped, RecordsLost)))
    assert told.feed("w9", start(), *whole(1))[-2:] == of(1)


def test_records_of_an_exchange_whose_opening_was_lost_are_counted() -> None:
    told = Told()
    told.feed("w0", start())
    assert told.feed("w0", *whole(1)[1:]) == []
    assert told.assembler.stray_records == 6
    told.feed("w0", *whole(2))
    assert told.feed("w0", closed(2)) == []
    assert told.assembler.stray_records == 7


@given(st.integers(0, 21), st.randoms(use_true_random=False))
def test_saved_state_fed_to_a_fresh_assembler_goes_on_as_the_old_one(place: int, rng: random.Random) -> None:
    streams = [whole(number) for number in (1, 2, 3)]
    script: list[Record] = []
    while any(streams):
        script.append(rng.choice([stream for stream in streams if stream]).pop(0))
    old = Told()
    old.feed("w0", start(), *script[:place])
    fresh = Told()
    for name, state in old.assembler.lane_starts():
        fresh.assembler.restore_lane(name, *state)
    fresh.assembler.restore_run(old.assembler.run_id)
    still_open = {exchange.key.exchange for exchange in old.assembler.open_exchanges()}
    for record in script[:place]:
        if getattr(record, "exchange", None) in still_open:
            fresh.assembler.feed("w0", record)
    rest = [*script[place:], RelayStopped(9, 99)]
    assert fresh.feed("w0", *rest) == old.feed("w0", *rest)
    bodies = {exchange.request_id: (exchange.request_body, exchange.response_body) for exchange in old.ended()}
    assert all(bodies[e.request_id] == (e.request_body, e.response_body) for e in fresh.ended())
