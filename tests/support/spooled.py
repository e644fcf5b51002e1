"""A spool as relays leave it behind, written record by record, and a recorder over it in this process.

write_spool(home / "spool", lanes=2)
record(home)
files(home)
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from lunaroute.capture.ids import derived_uuid7
from lunaroute.capture.records import (
    ExchangeClosed,
    Record,
    RelayStarted,
    RelayStopped,
    RequestChunk,
    RequestOpened,
    ResponseChunk,
    ResponseOpened,
    join_headers,
)
from lunaroute.config import Config, RedactionConfig
from lunaroute.recorder.dead_letter import DeadLetters
from lunaroute.recorder.recorder import Recorder
from lunaroute.recorder.worker import open_recorder
from lunaroute.sinks.layout import session_files
from lunaroute.spool.writer import SpoolWriter
from tests.exchanges import EVENT_STREAM, JSON, MS, START_MONO_NS, START_WALL_NS
from tests.sockets import SocketScript
from tests.traffic import anthropic_request, anthropic_response, anthropic_stream, session_header

SEGMENT_BYTES = 4 << 20


class LaneScript:
    """The records of one lane; times are in milliseconds of the machine's one clock."""

    def __init__(self, lane: str) -> None:
        self.lane = lane
        self.records: list[Record] = []

    def start(self, at_ms: int, run_id: str = "run-1") -> None:
        self.records.append(RelayStarted(_mono_ns(at_ms), _wall_ns(at_ms), run_id, 1, "test"))

    def stop(self, at_ms: int) -> None:
        self.records.append(RelayStopped(_mono_ns(at_ms), _wall_ns(at_ms)))

    def request(self, number: int, body: bytes, session: str, at_ms: int) -> None:
        opened = RequestOpened(
            exchange=number,
            t_ns=_mono_ns(at_ms),
            wall_ns=_wall_ns(at_ms),
            request_id=request_id(self.lane, number, at_ms),
            listener="anthropic",
            provider="anthropic",
            method="POST",
            target="/v1/messages",
            path="/v1/messages",
            http_version="1.1",
            header_lines=join_headers([*JSON, *session_header(session)]),
            client_ip="127.0.0.1",
            session_tags=[],
            credential="fp1",
        )
        self.records += [opened, RequestChunk(number, _mono_ns(at_ms + 1), body, MS // 2)]

    def response(self, number: int, chunks: Iterable[bytes], at_ms: int, *, is_stream: bool, is_closed: bool) -> None:
        headers = join_headers(EVENT_STREAM if is_stream else JSON)
        self.records.append(ResponseOpened(number, _mono_ns(at_ms), 200, "OK", headers))
        for data in chunks:
            at_ms += 1
            self.records.append(ResponseChunk(number, _mono_ns(at_ms), data))
        if is_closed:
            sent_ns = _mono_ns(at_ms - 1)
            self.records.append(ExchangeClosed(number, _mono_ns(at_ms + 1), "completed", None, sent_ns, MS, MS))

    def write(self, spool_dir: Path) -> None:
        """Each relay start a life of its own, in segments of its own."""
        spool_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        starts = [at for at, record in enumerate(self.records) if isinstance(record, RelayStarted)]
        for start, end in zip(starts, [*starts[1:], len(self.records)], strict=True):
            writer = SpoolWriter(spool_dir / self.lane, SEGMENT_BYTES)
            for record in self.records[start:end]:
                writer.put(record)
                writer.flush()
            writer.close([], 0)


def request_id(lane: str, number: int, at_ms: int) -> str:
    return derived_uuid7(_wall_ns(at_ms) // MS, lane, str(number))


def write_spool(spool_dir: Path, *, lanes: int = 1, rounds: int = 6) -> None:
    """Agents that share their sessions across the lanes: overlapping streams, tool calls and their results, a WebSocket
    that stays open, and in the middle a relay that is killed with two exchanges and a turn open and starts again. All
    stop in order."""
    scripts = [LaneScript(f"w{index}") for index in range(lanes)]
    for index, script in enumerate(scripts):
        script.start(index)
        talk = SocketTalk(script, 701, at_ms=index + 1)
        for turn in range(rounds):
            talk.begin_turn(at_ms=10_000 * turn + 20)
            _turn(script, index, turn)
            talk.end_turn(at_ms=10_000 * turn + 300)
            if index == 0 and turn == rounds // 2:
                talk.begin_turn(at_ms=10_000 * (turn + 1) - 2100)
                _killed(script, at_ms=10_000 * (turn + 1) - 2000)
                talk = SocketTalk(script, 702, at_ms=10_000 * (turn + 1) - 1000)
        if index == 1:
            talk.leave(at_ms=10_000 * (rounds + 1) - 100)
        script.stop(10_000 * (rounds + 1) + index)
        script.write(spool_dir)


class SocketTalk:
    """An agent on a compressed WebSocket of a lane; each turn goes on from the one before it."""

    def __init__(self, script: LaneScript, number: int, at_ms: int) -> None:
        self._script = script
        self._socket = SocketScript(number, lane=script.lane, opened_ms=at_ms, deflate=True)
        self._turn = 0
        self._told = 0
        self._tell()

    def begin_turn(self, at_ms: int) -> None:
        fields = {"previous_response_id": self._response_id(self._turn - 1)} if self._turn else {"generate": False}
        self._socket.create(f"{self._script.lane} on its socket, turn {self._turn}" * 20, at_ms=at_ms, **fields)
        self._tell()

    def end_turn(self, at_ms: int) -> None:
        self._socket.answer(self._response_id(self._turn), f"answer {self._turn} " * 50, at_ms=at_ms)
        self._socket.event({"type": "codex.rate_limits"}, at_ms=at_ms + 10)
        self._turn += 1
        self._tell()

    def leave(self, at_ms: int) -> None:
        self._socket.end(from_client=True, at_ms=at_ms)
        self._tell()

    def _response_id(self, turn: int) -> str:
        return f"resp_{self._script.lane}_{self._socket.number}_{turn}"

    def _tell(self) -> None:
        self._script.records += self._socket.records[self._told :]
        self._told = len(self._socket.records)


def _turn(script: LaneScript, index: int, turn: int) -> None:
    """Four exchanges of four sessions, two of them streamed and interleaved; one calls a tool of the turn before."""
    at_ms = 10_000 * turn + 10 + 37 * index
    results = [(f"toolu_{script.lane}_{turn - 1}", "x" * 500)] if turn else []
    first = 10 * turn + 1
    script.request(first, anthropic_request(f"{script.lane} {turn}", results=results), "agent-a", at_ms)
    script.request(first + 1, anthropic_request("streamed" * 40, stream=True), "agent-b", at_ms + 5)
    script.request(first + 2, anthropic_request("streamed", stream=True), "agent-a", at_ms + 6)
    script.request(first + 3, anthropic_request("short"), f"agent-{turn % 3}", at_ms + 7)
    name = f"{script.lane}_{turn}"
    answer = anthropic_response("a" * 700, calls=[f"toolu_{name}"], response_id=f"msg_{name}")
    script.response(first, [answer], at_ms + 100, is_stream=False, is_closed=True)
    script.response(first + 1, anthropic_stream("b" * 900), at_ms + 110, is_stream=True, is_closed=True)
    script.response(first + 2, anthropic_stream("c" * 300), at_ms + 120, is_stream=True, is_closed=True)
    script.response(first + 3, [anthropic_response("d")], at_ms + 140, is_stream=False, is_closed=True)


def _killed(script: LaneScript, at_ms: int) -> None:
    """A stream that had begun, and a request nobody had answered."""
    script.request(901, anthropic_request("cut", stream=True), "agent-b", at_ms)
    script.request(902, anthropic_request("unanswered"), "agent-c", at_ms + 1)
    script.response(901, anthropic_stream("e" * 300)[:3], at_ms + 10, is_stream=True, is_closed=False)
    script.start(at_ms + 500)


def open_home(home: Path, redaction: RedactionConfig = RedactionConfig()) -> Recorder:  # noqa: B008 - frozen
    """A recorder over the home, as the recorder's process has it."""
    return open_recorder(Config(home=home, redaction=redaction), DeadLetters(home / "recorder" / "dead-letter"))


def record(
    home: Path,
    before_step: Callable[[], None] = lambda: None,
    redaction: RedactionConfig = RedactionConfig(),  # noqa: B008 - frozen
) -> None:
    """Record all there is, and stop in order."""
    recorder = open_home(home, redaction)
    try:
        while not recorder.is_drained():
            before_step()
        recorder.checkpoint()
    finally:
        recorder.close()


def copied(home: Path, name: str) -> Path:
    """Another home with the same spool, and nothing recorded yet."""
    other = home.with_name(name)
    shutil.copytree(home / "spool", other / "spool")
    return other


def files(home: Path) -> dict[str, bytes]:
    """Every session file, byte for byte."""
    return {path.name: path.read_bytes() for _, path in session_files(home / "sessions")}


def _mono_ns(at_ms: int) -> int:
    return START_MONO_NS + at_ms * MS


def _wall_ns(at_ms: int) -> int:
    return START_WALL_NS + at_ms * MS
