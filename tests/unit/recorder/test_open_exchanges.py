"""Open exchanges as records: what checkpoints saved part by part rebuilds the assembler that had them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lunaroute.assemble.assembler import Assembler
from lunaroute.assemble.exchange import Exchange, ExchangeKey
from lunaroute.capture.records import (
    ExchangeClosed,
    Record,
    RelayStarted,
    RequestChunk,
    RequestOpened,
    ResponseChunk,
    ResponseOpened,
)
from lunaroute.recorder.open_exchanges import OpenExchangeLog
from tests.support.spooled import request_id

STARTED = RelayStarted(1, 1000, "run", 1, "test")
Saved = dict[ExchangeKey, list[list[Record]]]


def life(number: int, request_chunks: int, response_chunks: int) -> list[Record]:
    """An exchange's records, all but the last."""
    opened = RequestOpened(
        exchange=number,
        t_ns=10 * number,
        wall_ns=10,
        request_id=request_id("w0", number, 0),
        listener="anthropic",
        provider="anthropic",
        method="POST",
        target="/v1/messages",
        path="/v1/messages",
        http_version="1.1",
        header_lines=b"A: b",
        client_ip="127.0.0.1",
        session_tags=[],
        credential=None,
    )
    records: list[Record] = [opened]
    records += [RequestChunk(number, 11, b"q%d" % at, None) for at in range(request_chunks)]
    records.append(RequestChunk(number, 12, b"last", 3))
    records.append(ResponseOpened(number, 13, 200, "OK", b"C: d"))
    records += [ResponseChunk(number, 14 + at, b"r%d" % at) for at in range(response_chunks)]
    return records


def assembler() -> Assembler:
    made = Assembler()
    made.feed("w0", STARTED)
    return made


def save(log: OpenExchangeLog, source: Assembler, saved: Saved) -> None:
    """What the journal does with a checkpoint."""
    new, closed = log.changes(source)
    for key, part, records in new:
        parts = saved.setdefault(key, [])
        assert part == len(parts)
        parts.append(records)
    for key in closed:
        del saved[key]


def rebuilt(saved: Saved) -> Assembler:
    """What a restart does with the journal."""
    made = Assembler()
    made.restore_lane("w0", STARTED, True)
    for key, parts in saved.items():
        for record in (record for part in parts for record in part):
            made.feed(key.lane, record)
    return made


def is_same(one: Exchange, other: Exchange) -> bool:
    """But for the borders and the times of request chunks, which nobody looks at."""
    return (
        (one.key, one.opened, one.request_body, one.is_request_complete, one.request_ended_ns)
        == (other.key, other.opened, other.request_body, other.is_request_complete, other.request_ended_ns)
        and one.pre_processing_ns == other.pre_processing_ns
        and (one.response, one.response_chunks) == (other.response, other.response_chunks)
    )


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), min_size=1, max_size=4),
    st.randoms(use_true_random=False),
)
def test_checkpoints_at_any_time_rebuild_what_is_open(sizes: list[tuple[int, int]], chance: object) -> None:
    lives = {number: life(number, *size) for number, size in enumerate(sizes, start=1)}
    source, log, saved = assembler(), OpenExchangeLog(), Saved()
    while lives:
        number = chance.choice(sorted(lives))  # type: ignore[attr-defined]
        records = lives[number]
        if records:
            source.feed("w0", records.pop(0))
        else:
            del lives[number]
            source.feed("w0", ExchangeClosed(number, 99, "completed", None, None, 0, 0))
        if chance.random() < 0.4:  # type: ignore[attr-defined]
            save(log, source, saved)
            now_open = list(source.open_exchanges())
            back = {exchange.key: exchange for exchange in rebuilt(saved).open_exchanges()}
            assert back.keys() == {exchange.key for exchange in now_open}
            assert all(is_same(exchange, back[exchange.key]) for exchange in now_open)
            if chance.random() < 0.3:  # type: ignore[attr-defined]
                source = rebuilt(saved)  # a restart: from here on the rebuilt one goes on
                log = OpenExchangeLog()
                log.restored(source, {key: len(parts) for key, parts in saved.items()})
    save(log, source, saved)
    assert saved == {}


def test_a_checkpoint_without_news_saves_nothing() -> None:
    source, log = assembler(), OpenExchangeLog()
    for record in life(1, 1, 1):
        source.feed("w0", record)
    new, closed = log.changes(source)
    assert [(part, len(records)) for _, part, records in new] == [(0, 6)]
    assert closed == []
    assert log.changes(source) == ([], [])


def test_only_what_is_new_is_saved() -> None:
    source, log = assembler(), OpenExchangeLog()
    for record in life(1, 0, 1):
        source.feed("w0", record)
    log.changes(source)
    source.feed("w0", ResponseChunk(1, 50, b"more"))
    (new, closed) = log.changes(source)
    assert new == [(ExchangeKey("w0", 1000, 1), 1, [ResponseChunk(1, 50, b"more")])]
    assert closed == []
