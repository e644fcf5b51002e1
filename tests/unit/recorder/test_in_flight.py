"""What an open exchange says so far: text as it grows, tokens, cost; whatever the coding and the cuts."""

from __future__ import annotations

import gzip

import pytest

from lunaroute.assemble.assembler import Assembler
from lunaroute.assemble.exchange import Exchange
from lunaroute.live.wire import InFlight
from lunaroute.pricing import Pricer
from lunaroute.recorder import in_flight
from lunaroute.recorder.in_flight import InFlightReader
from lunaroute.recorder.pipeline import Pipeline
from lunaroute.recorder.pipeline_state import PipelineSettings
from lunaroute.sessions import OpenExchange
from tests.exchanges import EVENT_STREAM, ExchangeScript
from tests.sockets import STARTED, SocketScript, answer_events
from tests.traffic import anthropic_request, anthropic_stream

TEXT = "Während — 🌙 — it \\ streams"


def _begun(number: int = 1, encoding: str | None = None) -> tuple[ExchangeScript, OpenExchange]:
    """A request that the provider begins to answer."""
    script = ExchangeScript(number, body=anthropic_request("hello"))
    pipeline = Pipeline(PipelineSettings())
    pipeline.feed(script.received)
    opened = pipeline.open_exchange(script.exchange.request_id)
    assert opened is not None
    more = [] if encoding is None else [(b"Content-Encoding", encoding.encode())]
    script.answer(200, at_ms=100, headers=[*EVENT_STREAM, *more])
    return script, opened


def _reader(*, is_withheld: bool = False) -> InFlightReader:
    return InFlightReader(Pricer(), is_withheld=is_withheld)


def _text(reader: InFlightReader, exchange: Exchange) -> str:
    return "".join(piece for part in reader.flights[exchange.request_id].parts() for piece in part.pieces)


def _summary(reader: InFlightReader, exchange: Exchange) -> InFlight:
    return reader.flights[exchange.request_id].summary()


def test_text_is_there_as_soon_as_its_event_is_whatever_the_reads() -> None:
    script, opened = _begun()
    reader = _reader()
    stream = b"".join(anthropic_stream(TEXT))
    whole_at = stream.index(b"content_block_stop") - len("event: ")
    for at in range(len(stream)):
        script.chunk(stream[at : at + 1], at_ms=110 + at)
        reader.look([(script.exchange, opened)])
        assert _text(reader, script.exchange) == (TEXT if at + 1 >= whole_at else "")


def test_who_comes_late_gets_it_all() -> None:
    script, opened = _begun()
    for at, data in enumerate(anthropic_stream(TEXT)):
        script.chunk(data, at_ms=110 + at)
    reader = _reader()
    reader.look([(script.exchange, opened)])
    assert _text(reader, script.exchange) == TEXT
    reader.forget()
    reader.look([(script.exchange, opened)])
    assert _text(reader, script.exchange) == TEXT
    reader.look([])
    assert reader.flights == {}


def test_compressed_text_is_read_as_it_comes() -> None:
    script, opened = _begun(encoding="gzip")
    data = gzip.compress(b"".join(anthropic_stream(TEXT)))
    reader = _reader()
    for at in range(len(data)):
        script.chunk(data[at : at + 1], at_ms=110 + at)
        reader.look([(script.exchange, opened)])
    assert _text(reader, script.exchange) == TEXT


def test_numbers_are_what_was_said_and_estimates_say_so() -> None:
    script, opened = _begun()
    reader = _reader()
    reader.look([(script.exchange, opened)])
    before = _summary(reader, script.exchange)
    assert (before.time_to_first_byte_ms, before.input_tokens, before.output_tokens) == (None, None, 0)
    stream = anthropic_stream("word " * 400, input_tokens=1_000_000, output_tokens=5000)
    for at, data in enumerate(stream[:3]):
        script.chunk(data, at_ms=110 + 200 * at)
    reader.look([(script.exchange, opened)])
    now = _summary(reader, script.exchange)
    assert (now.time_to_first_byte_ms, now.streaming_ms) == (110, 400)
    assert (now.input_tokens, now.output_tokens, now.output_is_estimated) == (1_000_000, 500, True)
    assert now.tokens_per_second == 1250
    assert now.response_size_bytes == sum(len(data) for data in stream[:3])
    for data in stream[3:]:
        script.chunk(data, at_ms=500)
    reader.look([(script.exchange, opened)])
    then = _summary(reader, script.exchange)
    assert (then.output_tokens, then.output_is_estimated) == (5000, False)
    assert now.cost_usd is not None
    assert then.cost_usd is not None
    assert 1 < now.cost_usd < then.cost_usd


def test_texts_that_may_have_to_be_redacted_are_withheld() -> None:
    script, opened = _begun()
    for data in anthropic_stream(TEXT):
        script.chunk(data, at_ms=110)
    reader = _reader(is_withheld=True)
    reader.look([(script.exchange, opened)])
    assert _text(reader, script.exchange) == ""
    assert _summary(reader, script.exchange).is_withheld
    assert _summary(reader, script.exchange).output_tokens > 0


def test_what_is_no_stream_has_its_size_only() -> None:
    script, opened = _begun()
    script.chunk(b'{"type":"message"', at_ms=110)
    reader = _reader()
    reader.look([(script.exchange, opened)])
    script.chunk(b"\x00 garbage \xff" * 10, at_ms=120)
    reader.look([(script.exchange, opened)])
    assert _text(reader, script.exchange) == ""
    assert _summary(reader, script.exchange).response_size_bytes == 17 + 110


def test_a_look_reads_no_more_than_so_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """A watcher that comes late must not keep the recorder from its work."""
    monkeypatch.setattr(in_flight, "LOOK_BYTES", 2000)
    begun = [_begun(number) for number in (1, 2)]
    long, short = (script for script, _ in begun)
    for data in anthropic_stream("x" * 100):
        short.chunk(data, at_ms=110)
    for number in range(50):
        long.chunk(b"data: " + b"x" * 194, at_ms=110 + number)
    reader = _reader()
    exchanges = [(script.exchange, opened) for script, opened in begun]
    reader.look(exchanges)
    assert _text(reader, short.exchange) == "x" * 100
    sizes = []
    for _ in range(12):
        sizes.append(_summary(reader, long.exchange).response_size_bytes)
        reader.look(exchanges)
    assert sizes == sorted(sizes)
    assert sizes[0] < 2200
    assert _summary(reader, long.exchange).response_size_bytes == 50 * 200


def test_a_turn_on_a_websocket_is_in_flight_too() -> None:
    script = SocketScript()
    script.create("question", at_ms=100)
    events = answer_events("resp_1", "the answer")
    for event in events[:-1]:
        script.event(event, at_ms=200)
    assembler, pipeline = Assembler(), Pipeline(PipelineSettings())
    for record in [STARTED, *script.records]:
        for assembled in assembler.feed("0", record):
            pipeline.feed(assembled)
    open_ones = [(one, pipeline.open_exchange(one.request_id)) for one in assembler.growing()]
    reader = _reader()
    reader.look([(one, opened) for one, opened in open_ones if opened is not None])
    assert len(reader.flights) == 1
    assert _text(reader, open_ones[0][0]) == "the answer"
