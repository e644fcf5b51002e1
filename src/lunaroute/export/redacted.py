"""[io] Sessions that were recorded as they were, without secrets and personal data, for sharing; and a preview of that.

In: a session file. Out: its events redacted, or a table of what would be replaced where. The recording itself is not
changed. `body_sha256` is of the redacted bodies then, and `redaction` says so.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from lunaroute.capture.records import join_headers
from lunaroute.events import Event, decode_event, encode_event
from lunaroute.events.bodies import body_text, copy_body, request_bytes, response_bytes
from lunaroute.events.types import BodyCopy, RequestRecorded, ResponseRecorded
from lunaroute.redact.exchange import ExchangeRedactor
from lunaroute.redact.report import Redaction
from lunaroute.redact.settings import RedactionSettings
from lunaroute.sinks.layout import plain_path
from lunaroute.sinks.session_file import BadLine, SessionFileWriter, read_events

_BODIES = {"request_body": "request_headers", "response_body": "response_headers"}
Struct = TypeVar("Struct", bound=msgspec.Struct)
_Fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Found(msgspec.Struct, frozen=True):
    """Something that redaction would replace, in one field of one line."""

    seq: int
    event: str
    field: str
    rule: str
    count: int
    values: frozenset[bytes]
    """What would be put there; with the mode `tokenize`, as many as there are different values."""


class EventRedactor:
    """Redacts events one by one. Raises ConfigError for settings that cannot be followed."""

    def __init__(self, settings: RedactionSettings) -> None:
        self._exchanges = ExchangeRedactor(settings)
        self._mode = settings.mode

    def redact(self, event: Event) -> tuple[Event, list[Found]]:
        """The event without what the rules find in it, and what that was."""
        kind = str(type(event).__struct_config__.tag)
        found: list[Found] = []
        parts: list[bytes] = []
        for name, raw in _Fields.decode(encode_event(event)).items():
            edited = self._exchanges.redactor.text(bytes(raw)) if name not in _BODIES else None
            if edited is not None and edited.edits:
                values = [edit.replacement for edit in edited.edits]
                found += _found(event.seq, kind, name, edited.counts, values)
            data = bytes(raw) if edited is None else edited.data
            parts.append(msgspec.json.encode(name) + b":" + data)
        redacted = decode_event(b"{" + b",".join(parts) + b"}")
        for name in _BODIES:
            copy = getattr(event, name, None)
            if copy is not None:
                changed, counts, values = self._copy(event, name, copy)
                redacted = msgspec.structs.replace(redacted, **{name: changed})
                found += _found(event.seq, kind, name, counts, values)
        return self._told(event, redacted, found), found

    def texts(self, value: Struct) -> Struct:
        """A struct of plain values with its texts redacted."""
        changed = {
            name: self._exchanges.redactor.text(text.encode("utf-8", "surrogatepass")).data.decode("utf-8", "replace")
            for name, text in msgspec.structs.asdict(value).items()
            if isinstance(text, str)
        }
        return msgspec.structs.replace(value, **changed)

    def _copy(self, event: Event, name: str, copy: BodyCopy) -> tuple[BodyCopy, Counter[str], list[bytes]]:
        fields = [(key, value) for key, value in getattr(event, _BODIES[name]) if key.lower() == "content-type"]
        if copy.content_encoding is not None:
            fields.append(("content-encoding", copy.content_encoding))
        head = join_headers([(key.encode("latin-1"), value.encode("latin-1")) for key, value in fields])
        data = body_text(copy)
        sizes = [size for _, size in copy.chunks or [(0.0, len(data))]]
        chunks: list[bytes] = []
        for size in sizes:
            chunks.append(data[:size])
            data = data[size:]
        body = self._exchanges.body(chunks, head, is_stream=True)
        if not body.is_changed:
            return copy, body.counts, []
        times = [moment for moment, _ in copy.chunks or []]
        kept = [(moment, len(chunk)) for moment, chunk in zip(times, body.chunks, strict=False)]
        changed = copy_body(b"".join(body.chunks), None if body.coding_removed else copy.content_encoding, kept or None)
        return changed, body.counts, [edit.replacement for edit in body.edits]

    def _told(self, event: Event, redacted: Event, found: list[Found]) -> Event:
        """With the hash of what is kept, and what was done, on it."""
        counts = sum((Counter({one.rule: one.count}) for one in found), Counter[str]())
        said = Redaction(mode=self._mode, counts=dict(sorted(counts.items())))
        if isinstance(event, RequestRecorded) and isinstance(redacted, RequestRecorded):
            body = request_bytes(redacted)
            redaction = event.redaction or _redaction(said, request_bytes(event), body)
        elif isinstance(event, ResponseRecorded) and isinstance(redacted, ResponseRecorded):
            body = response_bytes(redacted)
            redaction = event.redaction or _redaction(said, response_bytes(event), body)
        else:
            return redacted
        sha256 = hashlib.sha256(body).hexdigest()
        return msgspec.structs.replace(redacted, body_sha256=sha256, redaction=redaction)


def redacted_file(path: Path, sessions_dir: Path, session_id: str, redactor: EventRedactor) -> None:
    """Writes the redacted session into a sessions folder of its own."""
    target = plain_path(sessions_dir, session_id)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with SessionFileWriter(target) as out:
        for event in _events(path):
            out.write(encode_event(redactor.redact(event)[0]))


def preview(paths: Iterable[Path], settings: RedactionSettings) -> Iterator[Found]:
    """What redaction would replace in these session files."""
    redactor = EventRedactor(msgspec.structs.replace(settings, mode="tokenize"))
    for path in paths:
        for event in _events(path):
            yield from redactor.redact(event)[1]


def _events(path: Path) -> Iterator[Event]:
    bad: list[BadLine] = []
    return read_events(path, bad.append)


def _redaction(said: Redaction, original: bytes, kept: bytes) -> Redaction:
    return said if original == kept else msgspec.structs.replace(said, original_size_bytes=len(original))


def _found(seq: int, kind: str, field: str, counts: Counter[str], values: Iterable[bytes]) -> Iterator[Found]:
    shown = list(values)
    for rule, count in sorted(counts.items()):
        mine = frozenset(
            value for value in shown if value.startswith((b"[redacted:%b:" % rule.encode(), b'"[redacted:'))
        )
        yield Found(seq, kind, field, rule, count, mine)
