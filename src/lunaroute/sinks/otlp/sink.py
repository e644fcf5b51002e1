"""The sink: each exchange and each tool call a span, sent when it is over; metrics every some seconds, in a thread.

A span needs its request. Those of open exchanges are kept in memory without what they said; after a restart they are
read from the session's file again.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from lunaroute.events import Event
from lunaroute.events.spans import Span, SpanContext, exchange_span, span_context, tool_span
from lunaroute.events.types import RequestRecorded, ResponseRecorded, ToolCallRecorded
from lunaroute.sinks.layout import existing_file
from lunaroute.sinks.plugin import SinkSurroundings
from lunaroute.sinks.session_file import read_events
from lunaroute.sinks.totals_file import read_totals

from . import messages
from .options import OtlpOptions
from .post import NotTaken, Receiver, Refused
from .state import Sent

_MOST_SPANS = 200
_MOST_KEPT = 20_000


class OtlpSink:
    """Keeps the contract of `sinks.base`: a span is there once, however often its events come."""

    def __init__(self, options: OtlpOptions, surroundings: SinkSurroundings) -> None:
        self.name = surroundings.name
        self._options = options
        self._surroundings = surroundings
        self._receiver = Receiver(options.endpoint, options.headers, options.timeout_s)
        self._sent: Sent | None = None
        self._open: OrderedDict[str, RequestRecorded] = OrderedDict()
        """Requests without a response yet."""
        self._contexts: OrderedDict[str, SpanContext] = OrderedDict()
        """Of requests whose tool calls may still come."""
        self._closing = threading.Event()
        self._metrics: threading.Thread | None = None

    def open(self) -> None:
        """Raises OSError, sqlite3.Error. The receiver need not be there yet."""
        self._sent = Sent(self._surroundings.state_dir)
        if self._options.metrics:
            self._closing.clear()
            self._metrics = threading.Thread(target=self._tell_metrics, name=f"{self.name} metrics", daemon=True)
            self._metrics.start()

    def write_batch(self, events: Sequence[Event]) -> None:
        """Raises NotTaken, sqlite3.Error."""
        assert self._sent is not None, "the sink is not open"
        new, reached = self._sent.new_of(events)
        spans = [(event, span) for event in new if (span := self._span(event)) is not None]
        for some in _cut(spans if self._options.traces else [], _MOST_SPANS):
            self._send(some)
        self._sent.mark(reached)

    def sync(self) -> None:
        if self._sent is not None:
            self._sent.sync()

    def close(self) -> None:
        """Metrics are told once more, if that is done in a moment."""
        self._closing.set()
        if self._metrics is not None:
            self._metrics.join(self._options.timeout_s)
            self._metrics = None
        if self._sent is not None:
            self._sent.close()
            self._sent = None

    # ---- spans

    def _send(self, some: Sequence[tuple[Event, Span]]) -> None:
        message = messages.traces([span for _, span in some], self._options.service_name)
        try:
            self._receiver.post("traces", message)
        except Refused as error:
            if len(some) == 1:
                self._surroundings.reject(some[0][0], str(error))
                return
            # One of them is what the receiver does not like: halves find it, and the others arrive.
            half = len(some) // 2
            self._send(some[:half])
            self._send(some[half:])

    def _span(self, event: Event) -> Span | None:
        options = self._options
        match event:
            case RequestRecorded():
                self._keep(event)
            case ResponseRecorded():
                request = self._open.pop(event.request_id, None) or self._request(event, event.request_id)
                if request is not None:
                    return exchange_span(request, event, options.semconv, has_content=options.content)
            case ToolCallRecorded():
                context = self._contexts.get(event.call_request_id)
                if context is None and (request := self._request(event, event.call_request_id)) is not None:
                    context = span_context(request)
                if context is not None:
                    return tool_span(event, context, has_content=options.content)
            case _:
                pass
        return None

    def _keep(self, event: RequestRecorded) -> None:
        self._contexts[event.request_id] = span_context(event)
        self._open[event.request_id] = event
        for kept in (self._contexts, self._open):
            if len(kept) > _MOST_KEPT:
                kept.popitem(last=False)

    def _request(self, event: Event, request_id: str) -> RequestRecorded | None:
        """From the session's file; None where it has lost it."""
        path = existing_file(self._surroundings.sessions_dir, event.session_id)
        if path is None:
            return None
        for one in read_events(path, lambda _: None, of={request_id}):
            if isinstance(one, RequestRecorded) and one.request_id == request_id:
                return one
        return None

    # ---- metrics

    def _tell_metrics(self) -> None:
        told = b""
        problem = ""
        while True:
            is_last = self._closing.wait(self._options.metrics_every_s)
            totals = read_totals(self._surroundings.run_dir)
            state = msgspec.msgpack.encode(totals)
            if totals.models and state != told:
                try:
                    now_s = time.time()
                    message = messages.metrics(totals, self._options.semconv, self._options.service_name, now_s)
                    self._receiver.post("metrics", message)
                    told, problem = state, ""
                except (NotTaken, Refused) as error:
                    if str(error) != problem:
                        problem = str(error)
                        print(f"lunaroute: sink {self.name}: metrics: {error}", file=sys.stderr, flush=True)
            if is_last:
                return


def _cut(spans: Sequence[tuple[Event, Span]], size: int) -> list[Sequence[tuple[Event, Span]]]:
    return [spans[start : start + size] for start in range(0, len(spans), size)]
