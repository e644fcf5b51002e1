"""[pure] What was assembled in, events out: identity, grouping, pairing, numbers, in this order and nowhere else.

Deterministic: the same input gives the same events, and a pipeline restored from everything `take_changes` gave out
goes on as if nothing had happened. An exchange that breaks a stage (a bug, a poison body) is recorded by its bytes
alone and named in `take_poisoned`; it takes no other exchange down with it.
"""

from __future__ import annotations

from typing import assert_never

import msgspec

from lunaroute.assemble.exchange import (
    Assembled,
    Exchange,
    ExchangeEnded,
    RecordingGap,
    RequestReceived,
    RunEnded,
    RunStarted,
)
from lunaroute.assemble.wall_time import wall_ns_at
from lunaroute.dialects.turn import new_results
from lunaroute.events.request import request_event, request_wall_ns, started_event, tool_call_event
from lunaroute.events.response import response_event
from lunaroute.events.session import completed_event, snapshot_event
from lunaroute.events.types import Event, RequestRecorded, ResponseRecorded, Started, ToolCallRecorded
from lunaroute.events.understood import ReadRequest, ReadResponse
from lunaroute.pricing import CostSums, Pricer, add_priced
from lunaroute.sessions import (
    EndedExchange,
    Ending,
    Instant,
    OpenExchange,
    PairedCall,
    Session,
    SessionBook,
    call_ids,
    elapsed_ns,
    instant,
    pair_results,
    remember_calls,
    remember_request,
    remember_response,
    repeated_calls,
    settle,
    verdict_of,
)
from lunaroute.stats import (
    ExchangeNumbers,
    SessionSums,
    add_context,
    add_exchange,
    add_miss,
    add_tool_result,
)
from lunaroute.stats.caching import answered

from .addition import Addition
from .cleaning import Cleaning
from .pipeline_state import PipelineSettings, PoisonExchange, SessionNumbers, StateChanges
from .placing import addition_of, identified, open_exchange, scope_of, thread_id_of
from .reading import read_request, read_response, unread_request, unread_response

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(SessionNumbers)


class Pipeline:
    """One per recorder; not for several threads at a time."""

    def __init__(self, settings: PipelineSettings) -> None:
        self._settings = settings
        self._book = SessionBook(settings.idle_timeout_ns)
        self._numbers: dict[str, SessionNumbers] = {}
        self._changed: set[str] = set()
        """Sessions whose numbers changed."""
        self._stored: set[str] = set()
        """Sessions whose numbers were given out and not deleted since."""
        self._pricer = Pricer(settings.own_prices)
        self._cleaning = Cleaning(settings.redaction)
        self._poisoned: list[PoisonExchange] = []

    @classmethod
    def restore(cls, settings: PipelineSettings, blobs: dict[str, bytes]) -> Pipeline:
        """The pipeline that gave out these blobs (all that was put and not deleted since)."""
        pipeline = cls(settings)
        pipeline._book.restore(blobs)
        pipeline._numbers = {key[2:]: _decoder.decode(blob) for key, blob in blobs.items() if key.startswith("n:")}
        pipeline._stored.update(pipeline._numbers)
        return pipeline

    def take_changes(self) -> StateChanges:
        """What changed in the state since the last call."""
        put: dict[str, bytes] = {}
        deleted: set[str] = set()
        self._book.take_changes(put, deleted)
        for session_id in self._changed:
            numbers = self._numbers.get(session_id)
            if numbers is not None:
                put["n:" + session_id] = _encoder.encode(numbers)
                self._stored.add(session_id)
            elif session_id in self._stored:
                deleted.add("n:" + session_id)
                self._stored.discard(session_id)
        self._changed.clear()
        return StateChanges(put, deleted)

    def take_poisoned(self) -> list[PoisonExchange]:
        """The exchanges that broke a stage since the last call, redacted like all others."""
        poisoned, self._poisoned = self._poisoned, []
        poisoned += (PoisonExchange(exchange, reason) for exchange, reason in self._cleaning.take_failed())
        return poisoned

    def feed(self, assembled: Assembled) -> list[Event]:
        """The next thing the assembler gave out → its events, those of sessions that ended by then first."""
        match assembled:
            case RequestReceived(exchange):
                return [*self.advance(request_wall_ns(exchange)), *self._request(exchange)]
            case ExchangeEnded(exchange):
                return [*self.advance(_end_wall_ns(exchange)), *self._response(exchange)]
            case RunStarted(run_id, wall_ns):
                return [*self.advance(wall_ns), *self._complete(self._book.run_started(run_id, wall_ns))]
            case RunEnded(wall_ns):
                return [*self.advance(wall_ns), *self._complete(self._book.run_ended(wall_ns))]
            case RecordingGap():
                return self.advance(assembled.wall_ns)
            case _:
                assert_never(assembled)

    def open_exchange(self, request_id: str) -> OpenExchange | None:
        """What its request told; None: it is not known yet, or over."""
        return self._book.open_exchange(request_id)

    def advance(self, now_wall_ns: int) -> list[Event]:
        """Time has passed: complete the sessions that are idle for too long.

        Everything recorded up to `now_wall_ns` must have been fed; otherwise a replay would group differently.
        """
        return self._complete(self._book.advance(now_wall_ns))

    def end_session(self, session_id: str, now_wall_ns: int) -> list[Event]:
        """The user ends a session. One with open exchanges completes with the last of them."""
        return self._complete(self._book.end(session_id, now_wall_ns))

    # ---- requests

    def _request(self, exchange: Exchange) -> list[Event]:
        exchange, redaction = self._cleaning.request(exchange)
        request = self._read(exchange)
        if redaction is not None:
            request = msgspec.structs.replace(request, redaction=redaction)
        try:
            session, pairs, addition, events = self._request_events(request)
        except Exception as error:
            self._poison(exchange, "request event", error)
            unread = unread_request(exchange)
            request = msgspec.structs.replace(unread, identity=request.identity, redaction=redaction)
            session, pairs, addition, events = self._request_events(request)
        numbers = self._session_numbers(session)
        numbers.sums.tool_wait_ns += settle(session, pairs)
        for pair in pairs:
            add_tool_result(numbers.sums, pair.call.tool_name, pair.execution_ns, verdict_of(pair.result).success)
        session.seq += len(events)
        if addition is not None:
            add_context(numbers.sums, addition.change.new_bytes, addition.change.resent_bytes)
        opened = open_exchange(request, session, addition)
        self._book.exchange_opened(exchange.request_id, opened)
        self._book.touch(session, request_wall_ns(exchange))
        remember_request(self._book, session, exchange.request_id, opened)
        self._changed.add(session.session_id)
        return events

    def _read(self, exchange: Exchange) -> ReadRequest:
        try:
            return identified(read_request(exchange), self._book)
        except Exception as error:
            self._poison(exchange, "request", error)
            return identified(unread_request(exchange), self._book)

    def _request_events(self, request: ReadRequest) -> tuple[Session, list[PairedCall], Addition | None, list[Event]]:
        """The events of a request. Only `place` leaves a trace, and doing it again finds the same session."""
        exchange = request.exchange
        arrived = instant(exchange, exchange.opened.t_ns)
        session = self._book.place(scope_of(exchange.opened), request.identity, exchange.request_id, arrived)
        pairs = self._pairs(request, session, arrived)
        events: list[Started | ToolCallRecorded | RequestRecorded] = []
        if session.seq == 0:
            events.append(started_event(request, session, 0, self._settings.node))
        for pair in pairs:
            events.append(tool_call_event(pair, exchange, session, session.seq + len(events)))
        addition = addition_of(request, session, self._book)
        change = None if addition is None else addition.change
        is_new = self._book.threads.get(session.session_id, thread_id_of(request, session)) is None
        seq = session.seq + len(events)
        events.append(request_event(request, session, seq, change, is_new_thread=is_new))
        return session, pairs, addition, list(events)

    def _pairs(self, request: ReadRequest, session: Session, arrived: Instant) -> list[PairedCall]:
        messages = request.facts.messages
        thread_id = thread_id_of(request, session)
        thread = self._book.threads.get(session.session_id, thread_id)
        is_again = thread is not None and thread.request_id is not None and thread.chain == request.chain
        # What comes again was paired, and has no id to tell so by.
        nameless = [] if is_again or not session.pending_calls else new_results(messages)
        results = request.facts.tool_results
        return pair_results(session, results, arrived, thread_id=thread_id, nameless=nameless)

    # ---- responses

    def _response(self, exchange: Exchange) -> list[Event]:
        events: list[Event] = []
        opened = self._book.open_exchange(exchange.request_id)
        if opened is None:
            events += self._request(exchange)
            opened = self._book.open_exchange(exchange.request_id)
        session = None if opened is None else self._book.session(opened.session_id)
        if opened is None or session is None:
            raise AssertionError("an open exchange keeps its session open")
        exchange, redaction = self._cleaning.response(exchange)
        try:
            response = read_response(exchange, opened, self._pricer)
            if redaction is not None:
                response = msgspec.structs.replace(response, redaction=redaction)
            calls = call_ids(exchange.request_id, response.facts.tool_calls)
            event = response_event(response, session.session_id, session.seq, repeated_calls(session, calls))
        except Exception as error:
            self._poison(exchange, "response", error)
            response = msgspec.structs.replace(unread_response(exchange), redaction=redaction)
            event = response_event(response, session.session_id, session.seq)
        events.append(event)
        session.seq += 1
        self._remember(session, opened, response, event)
        endings = self._book.exchange_ended(exchange.request_id, _end_wall_ns(exchange))
        self._changed.add(session.session_id)
        return [*events, *self._snapshot(session, exchange), *self._complete(endings)]

    def _remember(
        self, session: Session, opened: OpenExchange, response: ReadResponse, event: ResponseRecorded
    ) -> None:
        """What later requests and the session's end need to know of a response."""
        facts, exchange = response.facts, response.exchange
        model_name = facts.model or opened.model_requested
        ended_ns = exchange.response_chunks[-1][0] if exchange.response_chunks else exchange.opened.t_ns
        remember_calls(
            session,
            facts.tool_calls,
            request_id=exchange.request_id,
            model_name=model_name,
            response_ended=instant(exchange, ended_ns),
            thread_id=opened.thread_id,
        )
        ended = EndedExchange(
            request_id=exchange.request_id,
            facts=facts,
            answer=response.answer,
            outcome=event.outcome,
            is_answered=event.success,
            is_broken_off=_is_broken_off(exchange),
            is_final=response.headers.get("x-should-retry") == "false",
            ended_wall_ns=_end_wall_ns(exchange),
            answered=answered(response.tokens, opened.answered, _end_wall_ns(exchange)),
        )
        remember_response(self._book, session, opened, ended)
        session.success, session.finish_reason = event.success, event.finish_reason
        session.error = None if event.error is None else event.error.message or event.error.type
        self._add_numbers(session, response, event, model_name)

    def _add_numbers(
        self, session: Session, response: ReadResponse, event: ResponseRecorded, model_name: str | None
    ) -> None:
        numbers = self._session_numbers(session)
        closed = response.exchange.closed
        ended_ns = response.exchange.opened.t_ns if closed is None else closed.t_ns
        add_exchange(
            numbers.sums,
            ExchangeNumbers(
                timing=response.timing,
                tokens=response.tokens,
                model_name=model_name,
                tool_names=[call.tool_name for call in event.stats.tool_calls if not call.is_repeated],
                is_success=event.success,
                span_ns=elapsed_ns(session.started, instant(response.exchange, ended_ns)),
            ),
        )
        if response.context is not None and response.context.cache_miss is not None:
            add_miss(numbers.sums, response.context.cache_miss.missed_tokens, response.miss_picodollars)
        if response.cost_parts:
            add_priced(numbers.cost, response.cost_parts, response.tokens.total_tokens or 0, self._pricer.version)
        elif response.cost is not None:
            numbers.cost.unpriced_requests += 1

    def _snapshot(self, session: Session, exchange: Exchange) -> list[Event]:
        """A snapshot, if one is due."""
        numbers = self._session_numbers(session)
        wall_ns = _end_wall_ns(exchange)
        is_due = (
            numbers.sums.request_count - numbers.snapshot_count >= self._settings.snapshot_every_exchanges
            or wall_ns - numbers.snapshot_wall_ns >= self._settings.snapshot_every_ns
        )
        if not is_due:
            return []
        numbers.snapshot_count, numbers.snapshot_wall_ns = numbers.sums.request_count, wall_ns
        event = snapshot_event(session, numbers.sums, wall_ns, session.seq)
        session.seq += 1
        return [event]

    # ---- sessions

    def _complete(self, endings: list[Ending]) -> list[Event]:
        events: list[Event] = []
        for ending in endings:
            numbers = self._session_numbers(ending.session)
            events.append(completed_event(ending, numbers.sums, numbers.cost))
            del self._numbers[ending.session.session_id]
            self._changed.add(ending.session.session_id)
        return events

    def _session_numbers(self, session: Session) -> SessionNumbers:
        numbers = self._numbers.get(session.session_id)
        if numbers is None:
            numbers = SessionNumbers(SessionSums(), CostSums(), 0, session.started.wall_ns)
            self._numbers[session.session_id] = numbers
        return numbers

    def _poison(self, exchange: Exchange, stage: str, error: Exception) -> None:
        """Whatever broke: the bytes are recorded all the same, and the next exchange is not touched."""
        self._poisoned.append(PoisonExchange(exchange, f"{stage}: {type(error).__name__}: {error}"))


def _is_broken_off(exchange: Exchange) -> bool:
    return exchange.closed is not None and exchange.closed.outcome == "upstream_cut" and exchange.response is not None


def _end_wall_ns(exchange: Exchange) -> int:
    closed = exchange.closed
    return wall_ns_at(exchange, exchange.opened.t_ns if closed is None else closed.t_ns)
