"""Turns of a conversation → its sessions as events, as far as a transcript can tell.

In: turns that nobody has recorded yet. Out: a row of events for each session; all of them are over. A silence longer
than the idle timeout parts sessions, as it does on the wire. The same turns give the same events, ids included.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from lunaroute.dialects import read_request_body, read_response_body
from lunaroute.dialects.facts import ResponseFacts
from lunaroute.events.types import Event
from lunaroute.pricing import Pricer

from .telling import KnownCall, Session, request_id_of
from .turn import Conversation, Turn

_encode = msgspec.json.Encoder().encode


def split_sessions(turns: Iterable[Turn], idle_timeout_ns: int) -> Iterator[list[Turn]]:
    """The turns, in the order of their beginnings, parted where nothing was going on for too long."""
    session: list[Turn] = []
    last_ns = 0
    for turn in turns:
        if session and turn.began_ns - last_ns > idle_timeout_ns:
            yield session
            session = []
        last_ns = max(last_ns, turn.ended_ns)
        session.append(turn)
    if session:
        yield session


class Recording:
    """session_events(turns)*, a conversation's sessions in order of time; calls are remembered from one to the next."""

    def __init__(self, conversation: Conversation, pricer: Pricer) -> None:
        self._conversation = conversation
        self._pricer = pricer
        self._calls: dict[str, KnownCall] = {}

    def remember(self, turn: Turn) -> None:
        """A turn that is recorded already: what comes may answer its calls."""
        self._note_calls(turn, _read_response(turn), request_id_of(turn, self._conversation.client_name))

    def session_events(self, turns: Sequence[Turn], continues: str | None) -> list[Event]:
        """The events of one session, from `started` to `completed`."""
        session = Session(self._conversation, turns[0])
        events: list[Event] = [session.started(continues)]
        for turn, is_answer in _in_order_of_time(turns):
            if is_answer:
                events.append(self._answered(session, turn, len(events)))
            else:
                events += self._asked(session, turn, len(events))
        events.append(session.completed(len(events)))
        return events

    def _asked(self, session: Session, turn: Turn, seq: int) -> Iterator[Event]:
        facts = read_request_body(turn.wire_format, "", _encode(turn.request))
        request_id = request_id_of(turn, self._conversation.client_name)
        for result in facts.tool_results:
            known = self._calls.pop(result.tool_call_id or "", None)
            if known is not None:
                yield session.result(turn, request_id, known, result, seq)
                seq += 1
        yield session.asked(turn, request_id, facts, seq)

    def _answered(self, session: Session, turn: Turn, seq: int) -> Event:
        facts, request_id = _read_response(turn), request_id_of(turn, self._conversation.client_name)
        self._note_calls(turn, facts, request_id)
        return session.answered(turn, request_id, facts, seq, self._pricer)

    def _note_calls(self, turn: Turn, facts: ResponseFacts, request_id: str) -> None:
        for call in facts.tool_calls:
            if call.tool_call_id is not None:
                called_ns = turn.called_ns.get(call.tool_call_id, turn.ended_ns)
                model, count = facts.model or turn.model, len(facts.tool_calls)
                self._calls[call.tool_call_id] = KnownCall(request_id, call, model, called_ns, count)


def _in_order_of_time(turns: Sequence[Turn]) -> Iterator[tuple[Turn, bool]]:
    """Requests and answers (True) of threads that ran side by side, each answer after its request."""
    asked = [(turn.began_ns, number * 2, turn, False) for number, turn in enumerate(turns)]
    answered = [(turn.ended_ns, number * 2 + 1, turn, True) for number, turn in enumerate(turns)]
    heap = asked + answered
    heapq.heapify(heap)
    while heap:
        _, _, turn, is_answer = heapq.heappop(heap)
        yield turn, is_answer


def _read_response(turn: Turn) -> ResponseFacts:
    return read_response_body(turn.wire_format, [(0, _encode(turn.response))], "application/json", 200)
