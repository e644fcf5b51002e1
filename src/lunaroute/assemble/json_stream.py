"""JSON objects out of a body that is a row of them, as they arrive: one per line (Ollama's NDJSON), or the elements of
one array (Gemini without `alt=sse`).

In: `feed(data, t_ns)` with the decoded bytes of each read and its arrival, then `finish()`. Out: an event without a
name for each object (each list, where a row of lists is what there is), with the arrival of the read that completed
it. Invariant: however the bytes are split into reads, the same events come out. Never raises; what is between the
objects is passed over, whatever it is.
"""

from __future__ import annotations

import re

from lunaroute.assemble.sse_event import ServerSentEvent

_OUTSIDE = re.compile(rb'["{}\[\]]')
_INSIDE = re.compile(rb'["\\]')


class JsonStreamParser:
    """feed(data, t_ns) → events; finish() → the object that was never closed, if any."""

    is_broken = False
    """Never: JSON that is none gives no events."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._place = 0
        """How far the buffer has been looked at."""
        self._start = -1
        """Where the object begins that is open; -1 = none is."""
        self._depth = 0
        self._base: int | None = None
        """The depth at which the objects of the row stand: 1 inside an array."""
        self._is_in_string = False
        self._t_ns = 0

    def feed(self, data: bytes, t_ns: int) -> list[ServerSentEvent]:
        """The objects that `data` completes. `t_ns` is the arrival of `data`."""
        self._t_ns = t_ns
        self._buffer += data
        events = []
        while (found := self._next_mark()) is not None:
            end = self._take(found)
            if end:
                text = bytes(self._buffer[self._start : end])
                events.append(ServerSentEvent(event="", data=text, t_ns=t_ns))
                self._start = -1
        self._forget_what_is_read()
        return events

    def finish(self) -> list[ServerSentEvent]:
        """The object that the end of the body cut. Call once."""
        if self._start < 0:
            return []
        return [ServerSentEvent(event="", data=bytes(self._buffer), t_ns=self._t_ns, is_cut=True)]

    def _next_mark(self) -> int | None:
        """The place of the next byte outside of a string that opens or closes something; None = not there yet."""
        while True:
            pattern = _INSIDE if self._is_in_string else _OUTSIDE
            found = pattern.search(self._buffer, self._place)
            if found is None:
                self._place = len(self._buffer)
                return None
            place = found.start()
            byte = self._buffer[place]
            if byte == 0x5C:  # a backslash: the next byte is part of the string, whatever it is
                if place + 1 == len(self._buffer):
                    self._place = place
                    return None
                self._place = place + 2
                continue
            self._place = place + 1
            if byte != 0x22:
                return place
            self._is_in_string = not self._is_in_string

    def _take(self, place: int) -> int:
        """Count a bracket; where it closes an object of the row, the place behind it, else 0."""
        byte = self._buffer[place]
        if byte in b"{[":
            if self._base is None:
                self._base = 1 if byte == 0x5B else 0
            if self._depth == self._base:
                self._start = place
            self._depth += 1
            return 0
        self._depth = max(0, self._depth - 1)
        return place + 1 if self._depth == self._base and self._start >= 0 else 0

    def _forget_what_is_read(self) -> None:
        done = self._place if self._start < 0 else self._start
        del self._buffer[:done]
        self._place -= done
        self._start = min(0, self._start)
