"""The fold: interleaved records of all lanes in, exchanges out.

Pure and deterministic: the same records give the same output. What is open can be saved as records (and sockets as
their state) and is rebuilt by feeding those back into a fresh assembler, whose output is then ignored.

A request to change the protocol is held back until its answer: after a 101 the exchanges are those of the socket.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from lunaroute.capture.records import (
    ExchangeClosed,
    Record,
    RecordsLost,
    RelayStarted,
    RelayStopped,
    RequestChunk,
    RequestOpened,
    ResponseChunk,
    ResponseOpened,
    UpgradeChunk,
)

from .exchange import (
    Assembled,
    Exchange,
    ExchangeEnded,
    ExchangeKey,
    RecordingGap,
    RequestReceived,
    RunEnded,
    RunStarted,
)
from .lane import Lane
from .socket import Socket, SocketState

_SWITCHING_PROTOCOLS = 101


class Assembler:
    """One per recorder. Exchanges are handed out as they grow: the same object in RequestReceived and ExchangeEnded."""

    def __init__(self) -> None:
        self._lanes: dict[str, Lane] = {}
        self._run_id: str | None = None
        self.stray_records = 0
        """Records of exchanges whose opening was never seen (lost, or recorded before our first position)."""

    def feed(self, lane: str, record: Record) -> list[Assembled]:
        """Take the next record of a lane; what it completes."""
        match record:
            case RequestChunk() | ResponseOpened() | ResponseChunk() | ExchangeClosed() | UpgradeChunk():
                return self._grow(lane, record)
            case RequestOpened():
                self._open(lane, record)
                return []
            case RelayStarted():
                return self._relay_started(lane, record)
            case RelayStopped():
                return self._relay_stopped(lane, record)
            case RecordsLost():
                gap = self._gap(lane, record)
                return [*self._interrupt(lane, "records were lost: " + record.reason), gap]
            case _:
                assert_never(record)

    def lane_died(self, lane: str) -> list[Assembled]:
        """The lane's writer is gone and everything it wrote has been fed: what is open was interrupted."""
        state = self._lanes.get(lane)
        if state is None or not state.is_running:
            return []
        state.is_running = False
        out = self._interrupt(lane, "the relay was killed")
        # Killed while the others stopped: they could not tell that nobody was left.
        if any(other.stopped_wall_ns for other in self._lanes_of_run(state.started.run_id)):
            out += self._run_ended(state.started.run_id)
        return out

    def running_lanes(self) -> list[str]:
        return [name for name, lane in self._lanes.items() if lane.is_running]

    def open_exchanges(self) -> Iterator[Exchange]:
        for lane in self._lanes.values():
            yield from lane.open.values()

    def plain_open_exchanges(self) -> Iterator[Exchange]:
        """Those that have not become a WebSocket, which may be silent for hours."""
        for lane in self._lanes.values():
            yield from (exchange for number, exchange in lane.open.items() if number not in lane.sockets)

    def growing(self) -> Iterator[Exchange]:
        """The open exchanges and, of a WebSocket, its open turns."""
        for lane in self._lanes.values():
            for number, exchange in lane.open.items():
                socket = lane.sockets.get(number)
                if socket is None:
                    yield exchange
                else:
                    yield from socket.open_turns()

    def socket(self, key: ExchangeKey) -> Socket | None:
        """The WebSocket that an open exchange has become."""
        lane = self._lanes.get(key.lane)
        return None if lane is None else lane.sockets.get(key.exchange)

    def restore_socket(self, lane: str, state: SocketState) -> None:
        """After the records of its handshake: where it was."""
        self._lanes[lane].sockets[state.exchange].restore(state)

    def lane_starts(self) -> Iterator[tuple[str, tuple[RelayStarted, bool, int]]]:
        """(lane, (its latest start, whether it is still running, when it stopped in order or 0)): with open exchanges,
        all there is to save."""
        for name, lane in self._lanes.items():
            yield name, (lane.started, lane.is_running, lane.stopped_wall_ns)

    def adopt_lane(self, name: str, t_ns: int) -> None:
        """A lane that is first seen in its middle: its start was before our first position."""
        run_id = self._run_id or ""
        self.restore_run(run_id)
        self.restore_lane(name, RelayStarted(t_ns, 0, run_id, 0, ""), is_running=True)

    def restore_lane(self, name: str, started: RelayStarted, is_running: bool, stopped_wall_ns: int = 0) -> None:
        self._lanes[name] = Lane(started, is_running=is_running, stopped_wall_ns=stopped_wall_ns)

    def restore_run(self, run_id: str | None) -> None:
        self._run_id = run_id

    @property
    def run_id(self) -> str | None:
        return self._run_id

    def _relay_started(self, lane: str, record: RelayStarted) -> list[Assembled]:
        out = self._interrupt(lane, "the relay was killed")
        self._lanes[lane] = Lane(record)
        if record.run_id != self._run_id:
            self._run_id = record.run_id
            out.append(RunStarted(record.run_id, record.wall_ns))
        return out

    def _relay_stopped(self, lane: str, record: RelayStopped) -> list[Assembled]:
        out = self._interrupt(lane, "the relay stopped")
        state = self._lanes.get(lane)
        if state is None:
            return out
        state.is_running = False
        state.stopped_wall_ns = record.wall_ns
        return out + self._run_ended(state.started.run_id)

    def _run_ended(self, run_id: str) -> list[Assembled]:
        """The end of the current run, where none of its relays is left."""
        lanes = self._lanes_of_run(run_id)
        if run_id != self._run_id or any(lane.is_running for lane in lanes):
            return []
        return [RunEnded(max(lane.stopped_wall_ns for lane in lanes))]

    def _lanes_of_run(self, run_id: str) -> list[Lane]:
        return [lane for lane in self._lanes.values() if lane.started.run_id == run_id]

    def _gap(self, lane: str, record: RecordsLost) -> RecordingGap:
        if record.wall_ns:
            return RecordingGap(record.since_wall_ns, record.wall_ns, record.exchange_count, record.reason)
        # Damaged bytes: at least one exchange, and all that were open, lack something.
        state = self._lanes.get(lane)
        open_count = 0 if state is None else len(state.open)
        wall_ns = 0 if state is None else state.started.wall_ns + record.t_ns - state.started.t_ns
        return RecordingGap(wall_ns, wall_ns, max(1, open_count), record.reason)

    def _interrupt(self, lane: str, detail: str) -> list[Assembled]:
        state = self._lanes.get(lane)
        if state is None:
            return []
        out: list[Assembled] = []
        for number, exchange in list(state.open.items()):
            closed = ExchangeClosed(
                exchange=number,
                t_ns=_last_ns(exchange, state.sockets.get(number)),
                outcome="interrupted",
                detail=detail,
                sent_ns=exchange.request_ended_ns,
                pre_processing_ns=exchange.pre_processing_ns or 0,
                post_processing_ns=0,
            )
            out += self._grow(lane, closed)
        return out

    def _open(self, lane: str, record: RequestOpened) -> None:
        state = self._lanes.get(lane)
        if state is None:
            self.stray_records += 1
            return
        key = ExchangeKey(lane, state.started.wall_ns, record.exchange)
        state.open[record.exchange] = Exchange(key=key, opened=record)

    def _grow(
        self, lane: str, record: RequestChunk | ResponseOpened | ResponseChunk | ExchangeClosed | UpgradeChunk
    ) -> list[Assembled]:
        state = self._lanes.get(lane)
        exchange = state.open.get(record.exchange) if state is not None else None
        if state is None or exchange is None:
            self.stray_records += 1
            return []
        if isinstance(record, ResponseChunk):
            exchange.response_chunks.append((record.t_ns, record.data))
            return []
        if isinstance(record, RequestChunk):
            return _add_request_chunk(exchange, record)
        if isinstance(record, ResponseOpened):
            exchange.response = record
            if record.status_code == _SWITCHING_PROTOCOLS:
                state.sockets[record.exchange] = Socket(exchange, record)
            return []
        socket = state.sockets.get(record.exchange)
        if isinstance(record, UpgradeChunk):
            return [] if socket is None else socket.feed(record)
        del state.open[record.exchange]
        exchange.closed = record
        if socket is not None:
            del state.sockets[record.exchange]
            return socket.close(record)
        if exchange.is_request_complete and not _wants_websocket(exchange):
            return [ExchangeEnded(exchange)]
        return [RequestReceived(exchange), ExchangeEnded(exchange)]


def _add_request_chunk(exchange: Exchange, record: RequestChunk) -> list[Assembled]:
    if record.data:
        exchange.request_chunks.append(record.data)
    if record.pre_processing_ns is None:
        return []
    exchange.is_request_complete = True
    exchange.request_ended_ns = record.t_ns
    exchange.pre_processing_ns = record.pre_processing_ns
    return [] if _wants_websocket(exchange) else [RequestReceived(exchange)]


def _wants_websocket(exchange: Exchange) -> bool:
    opened = exchange.opened
    return opened.method == "GET" and any(
        name.lower() == b"upgrade" and b"websocket" in value.lower() for name, value in opened.headers
    )


def _last_ns(exchange: Exchange, socket: Socket | None) -> int:
    """Time of the last thing known of the exchange."""
    known_ns = [exchange.opened.t_ns, exchange.request_ended_ns or 0]
    if socket is not None:
        known_ns.append(socket.last_ns)
    if exchange.response is not None:
        known_ns.append(exchange.response.t_ns)
    if exchange.response_chunks:
        known_ns.append(exchange.response_chunks[-1][0])
    return max(known_ns)
