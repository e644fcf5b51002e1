"""When sessions begin and end: exchanges and passing time in, sessions and their endings out.

A session begins with its first exchange and completes when nothing of it is open and it was idle for the timeout,
was ended by the user, or its run ended. Time is the wall time of the records, never a clock's; the moment of an idle
end is last activity + timeout, whenever it is noticed, and whoever feeds an exchange of time t lets `advance(t)` end
first what was over by then: so a replay gives the same sessions.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush

import msgspec

from lunaroute.capture.ids import derived_uuid7

from .clues import Identity
from .index import BoundedIndex, conversation_key
from .served import ServedIndex
from .state import BookState, Ending, EndReason, Instant, OpenExchange, PendingCall, Session
from .thread import Thread
from .threads import ThreadBook

_DAY_NS = 86_400 * 1_000_000_000
_MAX_REMEMBERED = 100_000
_MAX_AGE_NS = 30 * _DAY_NS
_MAX_WAITING = 256
_MAX_WAITING_CALLS = 64


_encoder = msgspec.msgpack.Encoder()
_session_decoder = msgspec.msgpack.Decoder(Session)
_open_decoder = msgspec.msgpack.Decoder(OpenExchange)
_globals_decoder = msgspec.msgpack.Decoder(BookState)


class SessionBook:
    """All sessions that are not over, and what must be remembered of those that are."""

    def __init__(self, idle_timeout_ns: int) -> None:
        self._idle_timeout_ns = idle_timeout_ns
        self._sessions: dict[str, Session] = {}
        self._live: dict[str, str] = {}
        """Conversation key → its session that is not over."""
        self._open: dict[str, OpenExchange] = {}
        self._deadlines: list[tuple[int, str]] = []
        """A heap; an entry may be out of date, then the session's own deadline is later."""
        self._queued: set[str] = set()
        """Sessions with an entry in the heap: one each, however many exchanges they have."""
        self._ended: BoundedIndex[str] = BoundedIndex("c:", str, _MAX_REMEMBERED, _MAX_AGE_NS)
        """Conversation key → its session that ended last."""
        self._waiting: BoundedIndex[dict[str, PendingCall]] = BoundedIndex(
            "p:", dict[str, PendingCall], _MAX_WAITING, _MAX_AGE_NS
        )
        """Conversation key → the calls whose results had not come when its session ended."""
        self.served = ServedIndex()
        self.threads = ThreadBook()
        self._globals = BookState()
        self._changed: set[str] = set()
        self._stored: set[str] = set()
        """Keys that were given out and not deleted since: what came and went in between was never stored."""

    # ---- sessions

    def session(self, session_id: str) -> Session | None:
        return self._sessions.get(session_id)

    def session_ids(self) -> Iterator[str]:
        return iter(self._sessions)

    def is_known(self, scope: str, conversation_id: str) -> bool:
        """Whether the conversation has or had a session."""
        key = conversation_key(scope, conversation_id)
        return key in self._live or self._ended.get(key) is not None

    def thread(self, scope: str, conversation_id: str, thread_id: str) -> Thread | None:
        """A thread of the conversation's session that is not over."""
        session_id = self._live.get(conversation_key(scope, conversation_id))
        return None if session_id is None else self.threads.get(session_id, thread_id)

    def place(self, scope: str, identity: Identity, request_id: str, at: Instant) -> Session:
        """The session for a request with this identity: the conversation's open one, or a new one.

        No conversation means one of its own, named by its first session.
        """
        if identity.conversation_id is not None:
            live_id = self._live.get(conversation_key(scope, identity.conversation_id))
            if live_id is not None:
                return self._sessions[live_id]
        session_id = derived_uuid7(at.wall_ns // 1_000_000, request_id)
        conversation_id = identity.conversation_id or session_id
        key = conversation_key(scope, conversation_id)
        session = Session(
            session_id=session_id,
            scope=scope,
            conversation_id=conversation_id,
            rule=identity.rule,
            evidence=identity.evidence,
            continues=self._ended.get(key),
            forked_from=self._session_of(scope, identity.forked_from),
            started=at,
            last_activity_wall_ns=at.wall_ns,
            latest_request_id=request_id,
        )
        waiting = self._waiting.get(key)
        if waiting is not None:
            session.pending_calls = dict(waiting)
            self._waiting.drop(key)
        self._sessions[session_id] = session
        self._live[key] = session_id
        return session

    def _session_of(self, scope: str, conversation_id: str | None) -> str | None:
        """The conversation's session that is live, or ended last."""
        if conversation_id is None:
            return None
        key = conversation_key(scope, conversation_id)
        return self._live.get(key) or self._ended.get(key)

    def touch(self, session: Session, wall_ns: int) -> None:
        """The session's state changed at this time; it counts as active."""
        session.last_activity_wall_ns = max(session.last_activity_wall_ns, wall_ns)
        self._changed.add(session.session_id)

    # ---- exchanges

    def exchange_opened(self, request_id: str, exchange: OpenExchange) -> None:
        session = self._sessions[exchange.session_id]
        session.open_exchanges += 1
        session.latest_request_id = request_id
        self._open[request_id] = exchange
        self._changed.add("x:" + request_id)

    def open_exchange(self, request_id: str) -> OpenExchange | None:
        return self._open.get(request_id)

    def exchange_ended(self, request_id: str, wall_ns: int) -> list[Ending]:
        """The exchange is over; what this ends of its session."""
        exchange = self._open.pop(request_id)
        self._changed.add("x:" + request_id)
        session = self._sessions[exchange.session_id]
        session.open_exchanges -= 1
        session.latest_request_id = request_id
        self.touch(session, wall_ns)
        if session.open_exchanges > 0:
            return []
        if session.ending is not None:
            return [self._complete(session, session.ending, session.last_activity_wall_ns)]
        self._queue(session)
        return []

    # ---- endings

    def advance(self, wall_ns: int) -> list[Ending]:
        """End every session whose idle deadline is before this time, earliest first."""
        endings: list[Ending] = []
        while self._deadlines and self._deadlines[0][0] < wall_ns:
            queued_ns, session_id = heappop(self._deadlines)
            self._queued.discard(session_id)
            session = self._sessions.get(session_id)
            if session is None or session.open_exchanges > 0:
                continue
            deadline_ns = self._deadline_ns(session)
            if deadline_ns == queued_ns:
                endings.append(self._complete(session, "idle", deadline_ns))
            else:
                # It was active since: back in line, so that sessions end in the order of their true deadlines.
                self._queue(session)
        return endings

    def end(self, session_id: str, wall_ns: int) -> list[Ending]:
        """The user ends a session; one with open exchanges completes with the last of them."""
        session = self._sessions.get(session_id)
        return [] if session is None else self._end_all([session], "ended", wall_ns)

    def run_started(self, run_id: str, wall_ns: int) -> list[Ending]:
        """What an earlier run left behind was not shut down in order."""
        if run_id == self._globals.run_id:
            return []
        self._globals.run_id = run_id
        self._changed.add("g")
        return self._end_all(list(self._sessions.values()), "recovered", wall_ns)

    def run_ended(self, wall_ns: int) -> list[Ending]:
        return self._end_all(list(self._sessions.values()), "shutdown", wall_ns)

    def _end_all(self, sessions: list[Session], reason: EndReason, wall_ns: int) -> list[Ending]:
        endings: list[Ending] = []
        for session in sessions:
            if session.open_exchanges == 0:
                endings.append(self._complete(session, reason, max(wall_ns, session.last_activity_wall_ns)))
            elif session.ending is None:
                session.ending = reason
                self._changed.add(session.session_id)
        return endings

    def _complete(self, session: Session, reason: EndReason, wall_ns: int) -> Ending:
        key = conversation_key(session.scope, session.conversation_id)
        del self._sessions[session.session_id]
        del self._live[key]
        self._changed.add(session.session_id)
        self.threads.forget(session.session_id)
        # Nothing can ever come back to a conversation that only we have named, unless one of its ids is indexed.
        if session.rule != "new" or session.is_linked:
            self._ended.put(key, session.session_id, wall_ns)
        if session.pending_calls and session.is_linked:
            # A person may take longer over a permission than the session stays open.
            newest = list(session.pending_calls.items())[-_MAX_WAITING_CALLS:]
            self._waiting.put(key, dict(newest), wall_ns)
        return Ending(session, reason, wall_ns)

    def _queue(self, session: Session) -> None:
        if session.session_id not in self._queued:
            self._queued.add(session.session_id)
            heappush(self._deadlines, (self._deadline_ns(session), session.session_id))

    def _deadline_ns(self, session: Session) -> int:
        return session.last_activity_wall_ns + self._idle_timeout_ns

    # ---- stored state

    def take_changes(self, put: dict[str, bytes], deleted: set[str]) -> None:
        """Add what changed since the last call: `g`, `s:<session>`, `x:<request>`, `c:…`, and what `served` and
        `threads` give out."""
        for name in self._changed:
            if name == "g":
                put["g"] = _encoder.encode(self._globals)
                continue
            key = name if name.startswith("x:") else "s:" + name
            value = self._open.get(name[2:]) if key is name else self._sessions.get(name)
            if value is not None:
                put[key] = _encoder.encode(value)
                self._stored.add(key)
            elif key in self._stored:
                deleted.add(key)
                self._stored.discard(key)
        self._changed.clear()
        self._ended.take_changes(put, deleted)
        self._waiting.take_changes(put, deleted)
        self.served.take_changes(put, deleted)
        self.threads.take_changes(put, deleted)

    def restore(self, blobs: dict[str, bytes]) -> None:
        """Go on where the book that gave out these blobs was."""
        for key, blob in sorted(blobs.items()):
            if key == "g":
                self._globals = _globals_decoder.decode(blob)
            elif key.startswith("s:"):
                session = _session_decoder.decode(blob)
                self._sessions[session.session_id] = session
                self._live[conversation_key(session.scope, session.conversation_id)] = session.session_id
            elif key.startswith("x:"):
                self._open[key[2:]] = _open_decoder.decode(blob)
            if key.startswith(("s:", "x:")):
                self._stored.add(key)
        for session in self._sessions.values():
            self._queue(session)
        self._ended.restore(blobs)
        self._waiting.restore(blobs)
        self.served.restore(blobs)
        self.threads.restore(blobs)
