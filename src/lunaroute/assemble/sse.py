"""Server-sent events out of the bytes of a response body, as they arrive.

In: `feed(data, t_ns)` with the decoded bytes of each read and its arrival, then `finish()`. Out: events in order,
each with the arrival of the read that completed it. Follows the WHATWG rules (HTML §9.2.6): lines end with LF, CR or
CRLF, a blank line dispatches, an event without data is none, comments are skipped (and counted here).

Invariant: however the bytes are split into reads, the same events come out. Never raises; an event larger than the
bound is dropped and counted. One departure: an event that the end of the stream leaves without its blank line is
delivered by `finish()` with `is_cut`, because some providers never send the last blank line and because the cut
part of a stream is worth keeping.

Speed matters: a stream is hundreds of small events. Bytes are therefore split by whole blocks, and the two shapes
that providers send (`data:` alone, `event:` then `data:`) are read without looking at lines.
"""

from __future__ import annotations

from .sse_event import ServerSentEvent

_BOM = b"\xef\xbb\xbf"

_MARGIN_BYTES = 5
"""A byte-order mark and a line end on each side are not part of an event's size."""


class SseParser:
    """feed(data, t_ns) → events; finish() → the event that was never closed, if any."""

    is_broken = False
    """Never: by the rules of the format, every body is a stream of events, if only of none."""

    def __init__(self, max_event_bytes: int = 64 * 1024 * 1024) -> None:
        self.comment_count = 0
        self.oversized_count = 0
        """Events dropped because they were larger than the bound."""
        self._max_event_bytes = max_event_bytes
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._is_at_start = True
        self._ends_with_lf = False
        self._is_lf_skipped = False
        self._is_dropping = False
        self._has_nothing_kept = False
        """Whether a read of whole events can be taken as it is."""
        self._t_ns = 0

    def feed(self, data: bytes, t_ns: int) -> list[ServerSentEvent]:
        """The events that `data` completes. `t_ns` is the arrival of `data`."""
        events = []
        for block in self.blocks(data, t_ns):
            event = self.read(block)
            if event is not None:
                events.append(event)
        return events

    def blocks(self, data: bytes, t_ns: int) -> list[bytes]:
        """The blocks of lines that `data` completes, without their ends; each is to be read, in order, before more is
        fed."""
        self._t_ns = t_ns
        if self._has_nothing_kept and data[-2:] == b"\n\n" and b"\r" not in data:
            return data[:-2].split(b"\n\n")
        return self._completed_blocks(data)

    def finish(self) -> list[ServerSentEvent]:
        """The last event, when the stream ended without its blank line. Call once."""
        if self._is_dropping:
            return []
        block = b"".join(self._pending)
        self._pending = []
        if self._is_at_start:
            block = block.removeprefix(_BOM)
        event = self._read_lines(block, is_cut=True)
        return [] if event is None else [event]

    def _completed_blocks(self, data: bytes) -> list[bytes]:
        """The blocks that `data` completes; what follows them is kept for the next read."""
        data = self._with_lf_only(data)
        blocks: list[bytes] = []
        if b"\n\n" in data or (self._ends_with_lf and data.startswith(b"\n")):
            blocks = b"".join([*self._pending, data]).split(b"\n\n")
            data = blocks.pop()
            if self._is_dropping:
                self._is_dropping = False
                del blocks[0]
            self._pending = []
            self._pending_bytes = 0
            self._ends_with_lf = False
        if blocks and self._is_at_start:
            self._is_at_start = False
            blocks[0] = blocks[0].removeprefix(_BOM)
        if data:
            self._keep(data)
        self._has_nothing_kept = not (self._pending or self._is_lf_skipped or self._is_at_start)
        return blocks

    def _with_lf_only(self, data: bytes) -> bytes:
        # A CR ends its line at once; the LF that may open the next read belongs to it.
        if self._is_lf_skipped and data:
            self._is_lf_skipped = False
            if data.startswith(b"\n"):
                data = data[1:]
        if b"\r" in data:
            self._is_lf_skipped = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return data

    def _keep(self, data: bytes) -> None:
        self._ends_with_lf = data.endswith(b"\n")
        if self._is_dropping:
            # One byte is enough to see a blank line that is split between two reads.
            self._pending = [data[-1:]]
            return
        self._pending.append(data)
        self._pending_bytes += len(data)
        if self._pending_bytes > self._max_event_bytes + _MARGIN_BYTES:
            self._is_dropping = True
            self._is_at_start = False
            self.oversized_count += 1
            self._pending = [data[-1:]]
            self._pending_bytes = 0

    def read(self, block: bytes) -> ServerSentEvent | None:
        """The event of a block; None where it is none."""
        if len(block) <= self._max_event_bytes:
            line_end = block.find(b"\n")
            if line_end < 0:
                if block.startswith(b"data: "):
                    return ServerSentEvent(event="", data=block[6:], t_ns=self._t_ns)
            elif block.startswith(b"data: ", line_end + 1) and block.startswith(b"event: "):
                data = block[line_end + 7 :]
                if b"\n" not in data:
                    name = block[7:line_end].decode("utf-8", "replace")
                    return ServerSentEvent(event=name, data=data, t_ns=self._t_ns)
        return self._read_lines(block, is_cut=False)

    def _read_lines(self, block: bytes, is_cut: bool) -> ServerSentEvent | None:
        if len(block.strip(b"\n")) > self._max_event_bytes:
            self.oversized_count += 1
            return None
        name = b""
        data = []
        for line in block.split(b"\n"):
            field, _, value = line.partition(b":")
            if value.startswith(b" "):
                value = value[1:]
            if field == b"data":
                data.append(value)
            elif field == b"event":
                name = value
            elif not field and line:
                self.comment_count += 1
        if not data or (is_cut and not any(data)):
            return None
        text = name.decode("utf-8", "replace")
        return ServerSentEvent(event=text, data=b"\n".join(data), t_ns=self._t_ns, is_cut=is_cut)
