"""[io] One step of recording: read the spool, derive events, write them to every sink, remember how far it got.

The order of a step is what the guarantees rest on (see `journal`): derive → plan → sinks → (every second) sync →
checkpoint → give consumed segments back. Nothing is ever dropped: when a sink refuses, the step waits and tries again
while the spool keeps what comes in.
"""

from __future__ import annotations

import heapq
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat
from pathlib import Path

import msgspec

from lunaroute.assemble.assembler import Assembler
from lunaroute.assemble.exchange import Assembled, Exchange, ExchangeEnded, ExchangeKey, RecordingGap, RequestReceived
from lunaroute.assemble.socket import SocketState
from lunaroute.capture.records import Record, RelayStarted
from lunaroute.errors import LunarouteError
from lunaroute.events import Event
from lunaroute.events.totalling import add_event
from lunaroute.events.totals import Totals
from lunaroute.events.types import ResponseRecorded
from lunaroute.sessions import OpenExchange
from lunaroute.sinks.base import Sink
from lunaroute.sinks.collector import without_collector
from lunaroute.sinks.feed import FeedSink
from lunaroute.spool.follow import Follower, LaneRead

from .dead_letter import DeadLetter, DeadLetters
from .endings import EndRequests
from .gaps import GapFile
from .journal import Checkpoint, Journal, LaneState, Plan, Range, Remembered
from .open_exchanges import OpenExchangeLog
from .pipeline import Pipeline
from .pipeline_state import PipelineSettings, PoisonExchange
from .rereading import head_of
from .silence import SilentExchange, silent_exchanges

_CHECKPOINT_S = 1.0
_CHECKPOINT_BYTES = 64 << 20
_TICK_S = 1.0
_RETRY_S = (0.05, 0.1, 0.2, 0.5, 1.0)
_RETRY_NOTICE_S = 30.0


_TOTALS_KEY = "totals"
_totals_encoder = msgspec.msgpack.Encoder()
_totals_decoder = msgspec.msgpack.Decoder(Totals)


class Counts(msgspec.Struct):
    """Since this process started."""

    exchanges_recorded: int = 0
    events_written: int = 0
    failures: dict[str, int] = {}
    """Attempts that a sink, the journal or another place to write to refused, by its name."""


class Recorder:
    """Single-threaded; one per home. `sinks` are open, in the order they are to be written."""

    def __init__(
        self,
        spool_dir: Path,
        journal: Journal,
        settings: PipelineSettings,
        sinks: Sequence[Sink],
        feed: FeedSink,
        dead_letters: DeadLetters,
        gaps: GapFile,
        end_requests: EndRequests,
    ) -> None:
        self._journal = journal
        self._sinks = (*sinks, feed)  # last: who hears of an event there finds it in all the others
        self.feed = feed
        self._dead_letters = dead_letters
        self.gaps = gaps
        self._end_requests = end_requests
        self.counts = Counts()
        self._saved = OpenExchangeLog()
        self._bytes_since_checkpoint = 0
        self._is_dirty = False
        self._checkpoint_at = time.monotonic()
        self._tick_at = 0.0
        remembered = journal.load()
        self._assembler = _restored_assembler(remembered, self._saved)
        self._pipeline = Pipeline.restore(settings, remembered.state)
        stored = remembered.state.get(_TOTALS_KEY)
        self.totals = Totals(began_at_s=time.time()) if stored is None else _totals_decoder.decode(stored)
        self._passed_over = remembered.passed_over
        self._known_lanes = set(remembered.lanes)
        is_shredding = settings.redaction is not None
        self.follower = Follower(spool_dir, remembered.positions, is_shredding=is_shredding)
        if is_shredding:
            self.follower.shred_free()
        for plan in remembered.plans:
            self._run_again(plan)

    def step(self) -> bool:
        """Record what there is; whether there was anything."""
        now_wall_ns = time.time_ns()  # before the read: what it does not find was not recorded by then
        is_tick = time.monotonic() >= self._tick_at
        suspects = self._lanes_without_writer() if is_tick else []
        reads = self.follower.poll()
        busy = {read.lane for read in reads}
        dead = [lane for lane in suspects if lane not in busy]
        ended = self._end_requests.waiting() if is_tick else []
        plan = Plan([Range(read.lane, read.start, read.end) for read in reads], now_wall_ns, dead, ended)
        if is_tick:
            self._tick_at = time.monotonic() + _TICK_S
        if reads or dead or is_tick:
            with without_collector():
                self._record(plan, reads)
        self._bytes_since_checkpoint += sum(_size(read) for read in reads)
        self._checkpoint_if_due()
        return bool(reads)

    def _record(self, plan: Plan, reads: list[LaneRead]) -> None:
        events = self._derive(plan, reads)
        if reads or plan.dead_lanes or plan.ended_sessions or events:
            self._insist("journal", lambda: self._journal.add_plan(plan))
            self._end_requests.forget(plan.ended_sessions)
            self._is_dirty = True
            self._write(events)

    def open_exchanges(self) -> Iterator[tuple[Exchange, OpenExchange]]:
        """Those that have not ended, and whose they are."""
        for exchange in self._assembler.growing():
            opened = self._pipeline.open_exchange(exchange.request_id)
            if opened is not None:
                yield exchange, opened

    def is_drained(self) -> bool:
        """Nobody writes to the spool any more, and all of it has been recorded."""
        if self.has_writers():
            return False
        self._tick_at = 0.0  # a lane whose writer was killed is to be closed by this very step
        return not self.step()

    def has_writers(self) -> bool:
        """Whether any relay writes to the spool."""
        return any(self.follower.is_writer_alive(lane) for lane in self.follower.positions)

    def silent_exchanges(self) -> list[SilentExchange]:
        """In which nothing moves; none while there is more to read, which might be theirs."""
        if self.follower.lag_bytes():
            return []
        return silent_exchanges(self._assembler.plain_open_exchanges(), time.monotonic_ns())

    def checkpoint(self) -> None:
        """Sync the sinks, store the state, give consumed segments back."""
        for sink in self._sinks:
            self._insist(sink.name, sink.sync)
        changes = self._pipeline.take_changes()
        changes.put[_TOTALS_KEY] = _totals_encoder.encode(self.totals)
        new_records, closed = self._saved.changes(self._assembler)
        positions = dict(self.follower.positions)
        lanes = {lane: LaneState(*state) for lane, state in self._assembler.lane_starts()}
        checkpoint = Checkpoint(
            positions, self._assembler.run_id, lanes, changes.put, changes.deleted, new_records, closed
        )
        self._insist("journal", lambda: self._journal.commit(checkpoint))
        self.follower.release(positions)
        self._checkpoint_at = time.monotonic()
        self._bytes_since_checkpoint = 0
        self._is_dirty = False

    def close(self) -> None:
        """Let go of everything. No checkpoint: a step that failed may have led to a state whose events nobody has."""
        self.follower.close()
        for sink in self._sinks:
            sink.close()
        self._journal.close()

    def _lanes_without_writer(self) -> list[str]:
        return [lane for lane in self._assembler.running_lanes() if not self.follower.is_writer_alive(lane)]

    def _run_again(self, plan: Plan) -> None:
        """A plan made before a crash: same bytes, same time, same events; the sinks skip what they have."""
        reads = [self.follower.read_exactly(part.lane, part.start, part.end) for part in plan.ranges]
        self._write(self._derive(plan, reads))
        self._is_dirty = True

    def _derive(self, plan: Plan, reads: list[LaneRead]) -> list[Event]:
        events: list[Event] = []
        for lane, record in _merged(reads):
            if lane not in self._known_lanes:
                self._begin_lane(lane, record)
            assembled = self._assembler.feed(lane, record)
            if assembled:
                events += self._feed(assembled)
        for lane in plan.dead_lanes:
            events += self._feed(self._assembler.lane_died(lane))
        for session_id in plan.ended_sessions:
            events += self._pipeline.end_session(session_id, plan.now_wall_ns)
        if not reads:  # caught up: only then does the time of day say how long a session has been idle
            events += self._pipeline.advance(plan.now_wall_ns)
        for event in events:
            add_event(self.totals, event)
        for poisoned in self._pipeline.take_poisoned():
            self._insist("dead letters", lambda poisoned=poisoned: self._add_dead_letter(poisoned))  # type: ignore[misc]
        return events

    def _add_dead_letter(self, poisoned: PoisonExchange) -> None:
        self._dead_letters.add(DeadLetter(reason=poisoned.reason, exchange=head_of(poisoned.exchange)))

    def _begin_lane(self, lane: str, record: Record) -> None:
        """A lane's first record, unless the journal was lost and the relay's start with it: the rest is no less
        worth recording."""
        self._known_lanes.add(lane)
        if not isinstance(record, RelayStarted):
            self._assembler.adopt_lane(lane, record.t_ns)

    def _feed(self, assembled: Iterable[Assembled]) -> list[Event]:
        events: list[Event] = []
        for item in assembled:
            if isinstance(item, RecordingGap):
                self._insist("gaps", lambda item=item: self.gaps.add(item))  # type: ignore[misc]
            if not self._is_passed_over(item):
                events += self._pipeline.feed(item)
        return events

    def _is_passed_over(self, item: Assembled) -> bool:
        if not self._passed_over or not isinstance(item, RequestReceived | ExchangeEnded):
            return False
        return item.exchange.request_id in self._passed_over

    def _write(self, events: list[Event]) -> None:
        if not events:
            return
        for sink in self._sinks:
            self._insist(sink.name, lambda sink=sink: sink.write_batch(events))  # type: ignore[misc]
        self.counts.events_written += len(events)
        self.counts.exchanges_recorded += sum(isinstance(event, ResponseRecorded) for event in events)

    def _insist(self, name: str, action: Callable[[], None]) -> None:
        """Do it, however long it takes; the spool holds what comes in meanwhile."""
        notice_at = 0.0
        attempt = 0
        while True:
            try:
                action()
            except (OSError, sqlite3.Error, LunarouteError) as error:
                self.counts.failures[name] = self.counts.failures.get(name, 0) + 1
                if time.monotonic() >= notice_at:
                    print(f"lunaroute: {name}: {error}; trying again", file=sys.stderr, flush=True)
                    notice_at = time.monotonic() + _RETRY_NOTICE_S
                time.sleep(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
                attempt += 1
            else:
                return

    def _checkpoint_if_due(self) -> None:
        if not self._is_dirty:
            return
        is_late = time.monotonic() - self._checkpoint_at >= _CHECKPOINT_S
        if is_late or self._bytes_since_checkpoint >= _CHECKPOINT_BYTES:
            self.checkpoint()


def _restored_assembler(remembered: Remembered, saved: OpenExchangeLog) -> Assembler:
    assembler = Assembler()
    assembler.restore_run(remembered.run_id)
    for lane, state in remembered.lanes.items():
        assembler.restore_lane(lane, state.started, state.is_running, state.stopped_wall_ns)
    parts: dict[ExchangeKey, int] = {}
    for key, count, records in remembered.open_exchanges:
        parts[key] = count
        for record in records:
            if isinstance(record, SocketState):
                assembler.restore_socket(key.lane, record)
            else:
                assembler.feed(key.lane, record)  # what this gives out was recorded before
    saved.restored(assembler, parts)
    return assembler


def _merged(reads: list[LaneRead]) -> Iterable[tuple[str, Record]]:
    """Records of all lanes in the order of their times; within a lane, as written."""
    if len(reads) == 1:
        return zip(repeat(reads[0].lane), reads[0].records)
    lanes = [[(record.t_ns, read.lane, record) for record in read.records] for read in reads]
    return ((lane, record) for _, lane, record in heapq.merge(*lanes, key=lambda item: item[0]))


def _size(read: LaneRead) -> int:
    same = read.start.segment == read.end.segment
    return read.end.offset - read.start.offset if same else read.end.offset
