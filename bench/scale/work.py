"""A kind of exchange: what it costs and weighs on its way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lunaroute.capture.records import (
    ExchangeClosed,
    Opening,
    Record,
    RequestChunk,
    ResponseChunk,
    ResponseOpened,
)
from lunaroute.spool.frame import encode_opening, encode_record, frame_head, opened_payload

from .figures import assumed, measured, recorder_ms, relay_ms


@dataclass(frozen=True)
class Work:
    """A kind of exchange: what it costs and weighs."""

    name: str
    request_bytes: int
    events: int
    """Of the answer's stream; 0 = it is not streamed."""
    relay_cpu_ms: float
    recorder_cpu_ms: float
    file_bytes: float
    packed_bytes: float
    index_bytes: float

    @property
    def answer_bytes(self) -> int:
        """A stream's are those of the recorder's benchmark, by what it read of 1 KB requests."""
        if not self.events:
            return 1_000
        row = "1 KB, stream of 100 events"
        rate = measured("docs/performance.md", row, "exchanges/s")
        return int(measured("docs/performance.md", row, "MB/s") * 1e6 / rate) - 1_000

    @property
    def wire_bytes(self) -> int:
        """Of both directions, bodies alone, once: client and relay, or relay and provider."""
        return self.request_bytes + self.answer_bytes

    @property
    def spool_bytes(self) -> int:
        return sum(len(frame) for frame in _frames(self))

    @property
    def recorder_rate(self) -> float:
        """Exchanges a second of one recorder, planned with headroom."""
        return assumed("headroom") * 1000 / self.recorder_cpu_ms


def _frames(work: Work) -> Iterator[bytes]:
    """The exchange as the relay puts it into the spool, by the spool's own code; heads as an SDK sends them."""
    head = (
        b"Host: api.example.com\r\nContent-Type: application/json\r\nUser-Agent: sdk/1.0\r\n"
        + b"X-Header: value\r\n" * 8
    )
    opening = encode_opening(
        Opening("anthropic", "anthropic", "POST", "/v1/messages", "/v1/messages", "1.1", head, [], "fp")
    )
    body = bytes(work.request_bytes)
    payload = opened_payload(1, bytes(16), len(body), b"10.0.0.1", opening, body[:32_768], 1)
    yield frame_head(4, 1, 1, 1, payload) + payload
    records: list[Record] = [
        RequestChunk(1, 1, body[at : at + 65_536], None) for at in range(32_768, len(body), 65_536)
    ]
    records.append(ResponseOpened(1, 1, 200, "OK", head))
    chunks = work.events or 1
    records += [ResponseChunk(1, 1, bytes(work.answer_bytes // chunks))] * chunks
    records.append(ExchangeClosed(1, 1, "completed", None, 1, 1, 1))
    for record in records:
        yield encode_record(1, record)


def works() -> dict[str, Work]:
    """Streams of long requests were not measured: what a stream adds to 1 KB is added to them."""
    stream = (
        relay_ms("1 KB, stream of 100 chunks × 32") - relay_ms("1 KB × 32"),
        recorder_ms("1 KB, stream of 100 events") - recorder_ms("1 KB, plain answer"),
    )

    def weight(row: str) -> tuple[float, float, float]:
        page = "docs/storage.md"
        return (
            measured(page, row, "files plain"),
            measured(page, row, "files compressed"),
            measured(page, row, "index"),
        )

    small = [
        measured("docs/storage.md", "API client, small", name) for name in ("exchanges", "plain MB", "compressed KB")
    ]
    return {
        "api": Work(
            name="API call, 1 KB",
            request_bytes=1_000,
            events=0,
            relay_cpu_ms=relay_ms("1 KB × 32"),
            recorder_cpu_ms=recorder_ms("1 KB, plain answer"),
            file_bytes=small[1] * 1e6 / small[0],
            packed_bytes=small[2] * 1e3 / small[0],
            index_bytes=assumed("small_index"),
        ),
        "turns": _streamed("agent's first turns, 50 KB", 50_000, "50 KB", stream, weight("short sessions")),
        "agent": _streamed("agent's later turns, 400 KB", 400_000, "400 KB", stream, weight("session of 202")),
    }


def _streamed(
    name: str, request_bytes: int, size: str, stream: tuple[float, float], weight: tuple[float, float, float]
) -> Work:
    return Work(
        name,
        request_bytes,
        100,
        relay_ms(f"{size} × 32") + stream[0],
        recorder_ms(f"{size}, plain answer") + stream[1],
        *weight,
    )
