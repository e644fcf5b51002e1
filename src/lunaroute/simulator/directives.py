"""The grammar of `x-simulate`: what a request asks the simulated provider to do wrong, or differently.

In: a header `x-simulate: status=529; retry_after=1`, or a marker `[[simulate: cut_after=1200; reset]]` in
the last user message (both together: the header wins, name by name). Out: `Directives`. The grammar is
`name` or `name=value`, separated by `;`; a bare name means 1. Invariant: an unknown name or bad value is
refused, never ignored.
"""

from __future__ import annotations

import re

import msgspec

from lunaroute.simulator.turn import RequestRefusedError

_MARKER = re.compile(r"\[\[simulate:([^\]]*)\]\]")
HEADER = "x-simulate"


class Directives(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Times are real milliseconds; the simulator's delay factor does not scale them."""

    status: int | None = None
    """Answer with this HTTP error, in the dialect's own error body."""
    retry_after: str | None = None
    """Value of a `retry-after` header sent with it."""
    times: int | None = None
    """Misbehave for the first N identical requests (same target and body), then serve normally."""
    slow_first_byte_ms: float = 0.0
    """Silence before the response head."""
    silent_gap_ms: float = 0.0
    """Silence in the middle of the response body."""
    cut_after: int | None = None
    """Close the connection after N body bytes, in mid-message."""
    reset: bool = False
    """With `cut_after` or `drop`: by TCP reset instead of an orderly close."""
    end_after: int | None = None
    """End the response after N body bytes as if it were whole (a clean but early end)."""
    drop: bool = False
    """Close the connection without answering at all."""
    early_response: bool = False
    """Answer (413, or `status`) before reading the request body. Header only."""
    error_event_after: int | None = None
    """Replace everything after N stream events by the dialect's error event; the status stays 200."""
    malformed_sse: bool = False
    """Put lines into the middle of the stream that are not valid SSE or not valid JSON."""
    chunked_split: int | None = None
    """Send the response in writes of N bytes, each body piece a chunk of its own."""
    close: bool = False
    """Delimit the body by closing the connection: no length, no chunks."""
    gzip: bool = False
    br: bool = False
    zstd: bool = False
    """Compress the body, whatever the client accepts; a stream is flushed at every event."""
    no_usage: bool = False
    """Report no usage anywhere."""
    no_thinking_usage: bool = False
    """Report usage without the count of thinking tokens (as older Anthropic bodies do)."""
    thinking_tokens: int | None = None
    """Charge for N thinking tokens (a part of the output), whatever was thought."""
    answer_bytes: int | None = None
    """Pad or cut the visible text to N bytes (ASCII)."""

    @property
    def content_encoding(self) -> str | None:
        return "gzip" if self.gzip else "br" if self.br else "zstd" if self.zstd else None


def parse_directives(header: str | None, user_text: str) -> Directives:
    """The directives of a request. Raises `RequestRefusedError` (400) naming what is wrong."""
    given: dict[str, str] = {}
    for text in [*_MARKER.findall(user_text), header or ""]:
        for item in filter(None, (item.strip() for item in text.split(";"))):
            name, _, value = item.partition("=")
            given[name.strip()] = value.strip() or "1"
    try:
        return msgspec.convert(given, Directives, strict=False)
    except msgspec.ValidationError as error:
        raise RequestRefusedError(400, f"x-simulate: {error}") from error
