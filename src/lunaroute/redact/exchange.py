"""An exchange without what is not to be recorded.

The request is looked at when it has been received, the response when the exchange has ended. In: the exchange. Out: a
copy whose heads and chunks are redacted, and what was done; the original is not touched. A body under a content coding
is kept without it where something was found; what cannot be decoded cannot be looked at, and is not kept.
"""

from __future__ import annotations

from collections import Counter
from itertools import accumulate, pairwise

import msgspec

from lunaroute.assemble.content import ContentDecoder
from lunaroute.assemble.exchange import Exchange
from lunaroute.capture.records import RequestOpened, join_headers, split_headers

from .body import Edit, Edited, Redactor, moved
from .framed import CONTENT_TYPE as FRAMED
from .framed import redact_frames
from .replacement import keyed_hash
from .report import Redaction
from .settings import RedactionSettings

_BETWEEN = "\r\n\r\n"
"""Stands in no head."""
_MOST_HEADS = 1024


class RedactedBody(msgspec.Struct, frozen=True):
    chunks: list[bytes]
    """As they are kept."""
    counts: Counter[str] = Counter()
    is_changed: bool = False
    coding_removed: str | None = None
    withheld: str | None = None
    edits: list[Edit] = []


class ExchangeRedactor:
    """One per recorder. Raises ConfigError for settings that cannot be followed."""

    def __init__(self, settings: RedactionSettings) -> None:
        self.redactor = Redactor(settings)
        self._settings = settings
        self._heads: dict[str, Edited] = {}

    def request(self, exchange: Exchange) -> tuple[Exchange, Redaction]:
        """The exchange with its request redacted, and without its response."""
        opened, counts = self._opened(exchange.opened)
        body = self.body(exchange.request_chunks, exchange.opened.header_lines, is_stream=exchange.socket is not None)
        if body.coding_removed:
            opened = msgspec.structs.replace(opened, header_lines=_without_coding(opened.header_lines))
        redacted = msgspec.structs.replace(
            exchange, opened=opened, request_chunks=body.chunks, response=None, response_chunks=[]
        )
        return redacted, self.report(counts, body, exchange.request_chunks)

    def response(self, exchange: Exchange) -> tuple[Exchange, Redaction]:
        """The exchange with its response redacted, and without its request's body."""
        head, closed = exchange.response, exchange.closed
        chunks = [data for _, data in exchange.response_chunks]
        body = self.body(chunks, b"" if head is None else head.header_lines, is_stream=True)
        counts: Counter[str] = Counter()
        if head is not None:
            edited = self._head(head.reason, head.header_lines.decode("latin-1"))
            reason, lines = _parts(edited)
            counts.update(edited.counts)
            header_lines = lines.encode("latin-1")
            header_lines = _without_coding(header_lines) if body.coding_removed else header_lines
            head = msgspec.structs.replace(head, header_lines=header_lines, reason=reason)
        if closed is not None and closed.detail is not None:
            closed = msgspec.structs.replace(closed, detail=_parts(self._head(closed.detail))[0])
        redacted = msgspec.structs.replace(
            exchange,
            opened=self._opened(exchange.opened)[0],
            request_chunks=[],
            response=head,
            response_chunks=[
                (t_ns, data) for (t_ns, _), data in zip(exchange.response_chunks, body.chunks, strict=True)
            ],
            closed=closed,
        )
        return redacted, self.report(counts, body, chunks)

    def unseen(self, exchange: Exchange, reason: str) -> tuple[Exchange, Redaction]:
        """The exchange without anything a person wrote, where looking at it failed."""
        opened = msgspec.structs.replace(
            exchange.opened, header_lines=b"", target="", path="", client_ip="", session_tags=[]
        )
        head, closed = exchange.response, exchange.closed
        redacted = msgspec.structs.replace(
            exchange,
            opened=opened,
            request_chunks=[b"" for _ in exchange.request_chunks],
            response=None if head is None else msgspec.structs.replace(head, header_lines=b"", reason=""),
            response_chunks=[],
            closed=None if closed is None else msgspec.structs.replace(closed, detail=None),
        )
        return redacted, Redaction(mode=self._settings.mode, withheld=reason)

    def _opened(self, opened: RequestOpened) -> tuple[RequestOpened, Counter[str]]:
        lines = opened.header_lines.decode("latin-1")
        edited = self._head(lines, opened.target, opened.path, opened.client_ip, *opened.session_tags)
        if not edited.edits:
            return opened, edited.counts
        lines, target, path, client_ip, *tags = _parts(edited)
        redacted = msgspec.structs.replace(
            opened,
            header_lines=lines.encode("latin-1"),
            target=target,
            path=path,
            client_ip=client_ip,
            session_tags=tags,
        )
        return redacted, edited.counts

    def _head(self, *parts: str) -> Edited:
        """Texts of a head; those of a client are the same over and over, so they are remembered."""
        text = _BETWEEN.join(parts)
        known = self._heads.get(text)
        if known is None:
            if len(self._heads) >= _MOST_HEADS:
                self._heads.clear()
            known = self._heads[text] = self.redactor.text(text.encode("utf-8", "surrogateescape"))
        return known

    def body(self, chunks: list[bytes], header_lines: bytes, *, is_stream: bool) -> RedactedBody:
        """A body that came in these chunks, under this head; as many chunks are kept."""
        plain, coding, error = _decoded(chunks, _field(header_lines, b"content-encoding"))
        data = plain[0] if len(plain) == 1 else b"".join(plain)
        edited = None
        if is_stream and FRAMED in _field(header_lines, b"content-type"):
            edited = redact_frames(data, self.redactor)
        if edited is None:
            edited = self.redactor.stream(data) if is_stream else self.redactor.text(data)
        if not edited.edits and error is None:
            return RedactedBody(chunks)
        ends = [0, *moved(edited.edits, list(accumulate(map(len, plain))))]
        kept = [edited.data[start:end] for start, end in pairwise(ends)]
        return RedactedBody(kept, edited.counts, True, coding or None, error, edited.edits)

    def report(self, counts: Counter[str], body: RedactedBody, chunks: list[bytes]) -> Redaction:
        """What was done: `counts` in the head, and to the body that came in these chunks."""
        original = b"".join(chunks) if body.is_changed else None
        return Redaction(
            mode=self._settings.mode,
            counts=dict(sorted((counts + body.counts).items())),
            original_size_bytes=None if original is None else len(original),
            original_hmac_sha256=None if original is None else keyed_hash(self._settings.key, original),
            content_encoding_removed=body.coding_removed,
            withheld=body.withheld,
        )


def _parts(edited: Edited) -> list[str]:
    return edited.data.decode("utf-8", "surrogateescape").split(_BETWEEN)


def _decoded(chunks: list[bytes], coding: str) -> tuple[list[bytes], str, str | None]:
    """Each chunk without the coding, the coding that was undone, and why that is not all of the body."""
    if not chunks or coding in ("", "identity"):
        return chunks, "", None
    decoder = ContentDecoder(coding)
    plain = [decoder.feed(data) for data in chunks]
    decoder.finish()
    if decoder.error is None:
        return plain, coding, None
    if not any(plain) or plain == chunks:  # not decoded at all
        if _is_text(b"".join(chunks)):  # … because it is not what its head says
            return chunks, "", None
        plain = [b"" for _ in chunks]
    return plain, coding, decoder.error


def _is_text(data: bytes) -> bool:
    try:
        return data.decode("utf-8").isprintable() or not any(byte < 9 for byte in data)
    except UnicodeDecodeError:
        return False


def _field(header_lines: bytes, name: bytes) -> str:
    value = next((value for key, value in split_headers(header_lines) if key.lower() == name), b"")
    return value.decode("latin-1").strip().lower()


def _without_coding(header_lines: bytes) -> bytes:
    return join_headers(
        [(key, value) for key, value in split_headers(header_lines) if key.lower() != b"content-encoding"]
    )
