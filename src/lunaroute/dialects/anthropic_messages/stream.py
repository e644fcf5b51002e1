"""Anthropic event streams → the message a plain call would have returned, and its facts.

In: events in order. Out: ResponseFacts with milestones. Invariants: no event raises; what arrived before a cut is
kept: partial text, and partial tool input as text where it is no JSON yet.

    message_start (content_block_start content_block_delta* content_block_stop)* message_delta* message_stop

`ping` may come anywhere, `error` too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from lunaroute.assemble.sse_event import ServerSentEvent
from lunaroute.dialects.anthropic_messages.response import read_response
from lunaroute.dialects.anthropic_messages.usage import merge_usage, usage_of
from lunaroute.dialects.delta_shape import DeltaShape
from lunaroute.dialects.facts import ProviderError, ResponseFacts
from lunaroute.dialects.loose import as_dict, as_int, as_text, encode, join_text, read_piece
from lunaroute.dialects.provider_error import error_in
from lunaroute.dialects.so_far import Part, PartKind, SoFar
from lunaroute.dialects.stream_notes import Milestones, Unknowns, with_times

_FIELD_OF_DELTA = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}
"""The deltas that make up nearly all of a stream, and the field each carries."""

_KEY_OF_FIELD = {field: f'"{kind}","{field}":'.encode() for kind, field in _FIELD_OF_DELTA.items()}

_IMPLIED_BLOCK = {"text": "text", "thinking": "thinking", "partial_json": "tool_use"}

_KIND_OF_FIELD: dict[str, PartKind] = {"text": "text", "thinking": "thinking", "partial_json": "tool_call"}


class _Block:
    """A content block as it grows."""

    def __init__(self, value: dict[str, Any]) -> None:
        self.value = value
        self.pieces: dict[str, list[str]] = {}
        self.stopped_ns: int | None = None

    def parts(self, index: int) -> Iterator[Part]:
        """Its texts so far. A call is shown before it has any arguments."""
        for field, kind in _KIND_OF_FIELD.items():
            opening = as_text(self.value.get(field))
            if opening:
                yield Part(f"{index}.{field}.0", kind, None, (opening,))
            pieces = self.pieces.get(field)
            if pieces:
                yield Part(f"{index}.{field}", kind, as_text(self.value.get("name")), pieces)
        if not self.pieces and self.value.get("name"):
            yield Part(f"{index}.partial_json", "tool_call", as_text(self.value.get("name")), ())

    def content(self) -> dict[str, Any]:
        """The block as a plain call would return it."""
        for field, pieces in self.pieces.items():
            text = join_text(pieces)
            if field == "partial_json":
                if text:
                    self.value["input"] = msgspec.Raw(text.encode()) if _is_json(text) else text
            else:
                self.value[field] = (as_text(self.value.get(field)) or "") + text
        return self.value


class AnthropicStreamReader:
    """feed(event)* → finish(), once."""

    def __init__(self) -> None:
        self._message: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._blocks: dict[int, _Block] = {}
        self._error: ProviderError | None = None
        self._is_finished = False
        self._milestones = Milestones()
        self._unknown = Unknowns()
        self.deltas = DeltaShape()
        self._handlers: dict[str, Callable[[dict[str, Any], ServerSentEvent], None]] = {
            "content_block_delta": self._on_delta,
            "content_block_start": self._on_block_start,
            "content_block_stop": self._on_block_stop,
            "message_start": self._on_message_start,
            "message_delta": self._on_message_delta,
            "message_stop": self._on_message_stop,
            "error": self._on_error,
            "ping": self._on_ping,
        }

    def feed(self, event: ServerSentEvent) -> None:
        if self.deltas.take(event):
            return
        self.deltas.forget()
        fields = read_piece(event.data)
        if not isinstance(fields, dict):
            if not event.is_cut:
                self._unknown.count("not a JSON object")
            return
        kind = as_text(fields.get("type")) or event.event
        handler = self._handlers.get(kind)
        if handler is None:
            self._unknown.count(kind)
        else:
            handler(fields, event)

    def so_far(self) -> SoFar:
        parts = [part for index, block in self._blocks.items() for part in block.parts(index)]
        return SoFar(model=as_text(self._message.get("model")), usage=usage_of(self._usage), parts=parts)

    def finish(self) -> ResponseFacts:
        facts = ResponseFacts()
        if self._message or self._blocks:
            facts = read_response(encode(self._rebuilt()), 200)
        times = [block.stopped_ns for block in self._blocks.values() if block.value.get("type") == "tool_use"]
        return msgspec.structs.replace(
            facts,
            tool_calls=with_times(facts.tool_calls, times),
            error=self._error or facts.error,
            is_finished=self._is_finished,
            milestones=self._milestones.found,
            unknown_events=self._unknown.merged(facts.unknown_events),
        )

    def _rebuilt(self) -> dict[str, Any]:
        message = {"type": "message", "role": "assistant"} | self._message
        message["content"] = [block.content() for block in self._blocks.values()]
        if self._usage:
            message["usage"] = self._usage
        return message

    def _on_message_start(self, fields: dict[str, Any], event: ServerSentEvent) -> None:
        message = as_dict(fields.get("message"))
        merge_usage(self._usage, message.pop("usage", None))
        message.pop("content", None)
        self._message.update(message)

    def _on_block_start(self, fields: dict[str, Any], event: ServerSentEvent) -> None:
        index = as_int(fields.get("index"))
        value = as_dict(fields.get("content_block"))
        self._blocks[len(self._blocks) if index is None else index] = _Block(value)
        self._milestones.block_start(as_text(value.get("type")), event.t_ns)
        if value.get("text") or value.get("thinking"):
            self._milestones.token(event.t_ns)

    def _on_delta(self, fields: dict[str, Any], event: ServerSentEvent) -> None:
        delta = fields.get("delta")
        index = fields.get("index")
        if not isinstance(delta, dict) or type(index) is not int:
            self._unknown.count("content_block_delta without delta or index")
            return
        field = _FIELD_OF_DELTA.get(as_text(delta.get("type")) or "")
        piece = delta.get(field) if field is not None else None
        if field is None or type(piece) is not str:
            self._on_rare_delta(self._block(index, "text"), delta)
            return
        block = self._blocks.get(index) or self._block(index, _IMPLIED_BLOCK[field])
        pieces = block.pieces.setdefault(field, [])
        pieces.append(piece)
        if piece:
            self._milestones.token(event.t_ns)
            self.deltas.learn(event, _KEY_OF_FIELD[field], pieces)

    def _block(self, index: int, kind: str) -> _Block:
        if index not in self._blocks:
            self._blocks[index] = _Block({"type": kind})
        return self._blocks[index]

    def _on_rare_delta(self, block: _Block, delta: dict[str, Any]) -> None:
        kind = as_text(delta.get("type")) or ""
        if kind == "citations_delta":
            known = block.value.get("citations")
            block.value["citations"] = [*(known if isinstance(known, list) else []), delta.get("citation")]
            return
        if kind not in ("signature_delta", "compaction_delta"):
            self._unknown.count(kind)
        # Texts grow, everything else is replaced: right for all deltas known so far.
        for key, value in delta.items():
            if key == "type":
                continue
            if isinstance(value, str):
                block.pieces.setdefault(key, []).append(value)
            elif value is not None:
                block.value[key] = value

    def _on_block_stop(self, fields: dict[str, Any], event: ServerSentEvent) -> None:
        index = as_int(fields.get("index"))
        block = self._blocks.get(index) if index is not None else None
        if block is None:
            self._unknown.count("content_block_stop without block")
            return
        block.stopped_ns = event.t_ns
        self._milestones.block_stop(as_text(block.value.get("type")), event.t_ns)

    def _on_message_delta(self, fields: dict[str, Any], event: ServerSentEvent) -> None:
        merge_usage(self._usage, fields.get("usage"))
        extra = {key: value for key, value in fields.items() if key not in ("type", "delta", "usage")}
        for key, value in (as_dict(fields.get("delta")) | extra).items():
            if value is not None or key not in self._message:
                self._message[key] = value

    def _on_message_stop(self, fields: dict[str, Any], event: ServerSentEvent) -> None:
        self._is_finished = True
        self._milestones.completion(as_text(self._message.get("stop_reason")), event.t_ns)

    def _on_error(self, fields: dict[str, Any], event: ServerSentEvent) -> None:
        self._error = error_in(fields) or ProviderError(type=None, message=None)
        self._milestones.error(self._error.message, event.t_ns)

    def _on_ping(self, fields: dict[str, Any], event: ServerSentEvent) -> None:
        pass


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (ValueError, RecursionError):
        return False
    return True
