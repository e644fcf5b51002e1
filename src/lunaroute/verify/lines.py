"""The lines of one session file, one at a time: what is wrong with them.

In: whole lines without their newlines, in order. Out: (line number from 1, what is wrong), each thing once, and the
events. Holds no bodies, so that a file of gigabytes needs no memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import msgspec

from lunaroute.events import SCHEMA_VERSION, Event, decode_event
from lunaroute.events.bodies import request_bytes, response_bytes
from lunaroute.events.chain import link_of_line
from lunaroute.events.types import (
    BodyCopy,
    Completed,
    RequestRecorded,
    ResponseRecorded,
    Started,
    ToolCallRecorded,
)

from .totals import Totals


class ChainCheck:
    """Whether each line names the one before it."""

    def __init__(self) -> None:
        self.count = 0
        """Lines so far."""
        self.head: str | None = None
        """The link of the last line; None = there was none."""
        self._is_named = True
        self._decoder = msgspec.json.Decoder(_Linked)

    def add(self, line: bytes) -> str | None:
        """What is wrong with the next line's `prev`; None = nothing."""
        before, self.head = self.head, link_of_line(line)
        self.count += 1
        try:
            prev = self._decoder.decode(line).prev
        except (ValueError, RecursionError):
            return "is no event, so it names no line before it"
        was_named, self._is_named = self._is_named, prev is not None or self.count == 1
        if prev == before:
            return None
        if prev is None:
            return "has no `prev`, nor have those behind it until one is named" if was_named else None
        return "`prev` does not fit: the line before is not the one that was written before it"


class _Linked(msgspec.Struct):
    prev: str | None = None


class LinesCheck:
    """add(line)*, then `end`. Problems gather in `problems`."""

    def __init__(self, session_id: str) -> None:
        self.problems: list[tuple[int, str]] = []
        self.chain = ChainCheck()
        self.is_completed = False
        self._session_id = session_id
        self._seq = 0
        self._asked: set[str] = set()
        self._bodiless: set[str] = set()
        self._answered: set[str] = set()
        self._totals = Totals()

    def add(self, line: bytes) -> Event | None:
        """The next line's event; None where it is none."""
        broken = self.chain.add(line)
        try:
            event = decode_event(line)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            self._problem(f"is no event: {error}")
            self._seq += 1
            return None
        if broken is not None:
            self._problem(broken)
        self._check_place(event)
        match event:
            case RequestRecorded():
                self._check_request(event)
            case ResponseRecorded():
                self._check_response(event)
            case ToolCallRecorded():
                self._totals.add_result(event)
            case Completed():
                self._check_completed(event)
        return event

    def _problem(self, text: str) -> None:
        self.problems.append((self.chain.count, text))

    def _check_place(self, event: Event) -> None:
        if not 1 <= event.schema <= SCHEMA_VERSION:
            self._problem(f"schema is {event.schema}; this program knows 1 to {SCHEMA_VERSION}")
        if event.session_id != self._session_id:
            self._problem(f"belongs to session {event.session_id}")
        if event.seq != self._seq:
            self._problem(f"seq is {event.seq}, not {self._seq}")
        self._seq = event.seq + 1
        if isinstance(event, Started) != (self.chain.count == 1):
            self._problem(
                "is a second `started`" if isinstance(event, Started) else "is not `started`, as the first is"
            )
        if self.is_completed:
            self._problem("stands behind `completed`, which is the last")

    def _check_request(self, event: RequestRecorded) -> None:
        if event.request_id in self._asked:
            self._problem(f"is a second request of exchange {event.request_id}")
        self._asked.add(event.request_id)
        self._totals.add_request(event)
        if event.bodies_deleted:
            self._bodiless.add(event.request_id)
        self._check_body(event, lambda: request_bytes(event), event.request_body, event.stats.request_size_bytes)

    def _check_response(self, event: ResponseRecorded) -> None:
        if event.request_id in self._answered:
            self._problem(f"is a second response of exchange {event.request_id}")
        elif event.request_id not in self._asked:
            self._problem(f"is the response of exchange {event.request_id}, whose request is missing")
        self._answered.add(event.request_id)
        self._totals.add_response(event)
        self._check_body(event, lambda: response_bytes(event), event.response_body, event.stats.response_size_bytes)

    def _check_body(
        self,
        event: RequestRecorded | ResponseRecorded,
        read: Callable[[], bytes],
        copy: BodyCopy | None,
        size_bytes: int,
    ) -> None:
        if event.request_id in self._bodiless:  # retention took it out; nothing is left to compare
            return
        try:
            body = read()
        except ValueError as error:
            self._problem(f"body cannot be read: {error}")
            return
        if hashlib.sha256(body).hexdigest() != event.body_sha256:
            self._problem(f"body_sha256 of exchange {event.request_id} is not that of its body")
        if len(body) != size_bytes:
            self._problem(f"body of exchange {event.request_id} has {len(body)} bytes, not {size_bytes}")
        if copy is not None and copy.chunks is not None and sum(part for _, part in copy.chunks) != len(body):
            self._problem(f"chunks of exchange {event.request_id} do not add up to its body")

    def _check_completed(self, event: Completed) -> None:
        self.is_completed = True
        for request_id in sorted(self._asked - self._answered):
            self._problem(f"exchange {request_id} has no response")
        for text in self._totals.differences(event.final_stats):
            self._problem(text)
