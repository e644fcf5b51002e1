"""Converse streams → the response a plain call would have returned, and its facts.

In: events in order. Out: ResponseFacts with milestones. Invariants: no event raises; what arrived before a cut is
kept: partial text, and a partial tool input as text where it is no JSON yet.

    messageStart (contentBlockStart? contentBlockDelta* contentBlockStop)* messageStop metadata
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from lunaroute.assemble.sse_event import ServerSentEvent
from lunaroute.dialects.bedrock_converse.response import read_response
from lunaroute.dialects.bedrock_converse.usage import usage_of
from lunaroute.dialects.facts import ProviderError, ResponseFacts
from lunaroute.dialects.loose import as_dict, as_int, as_text, encode, join_text, read_any, read_piece
from lunaroute.dialects.provider_error import error_in
from lunaroute.dialects.so_far import Part, SoFar
from lunaroute.dialects.stream_notes import Milestones, Unknowns, with_times


class _Block:
    """A content block as it grows."""

    def __init__(self) -> None:
        self.kind = "text"
        self.value: dict[str, Any] = {}
        self.pieces: dict[str, list[str]] = {}
        self.stopped_ns: int | None = None

    def parts(self, index: int) -> Iterator[Part]:
        """Its texts so far."""
        if self.kind == "toolUse":
            yield Part(f"{index}", "tool_call", as_text(self.value.get("name")), self.pieces.get("input", ()))
        elif "text" in self.pieces:
            is_thinking = self.kind == "reasoningContent"
            yield Part(f"{index}", "thinking" if is_thinking else "text", None, self.pieces["text"])

    def rebuilt(self) -> dict[str, Any]:
        texts = {name: join_text(pieces) for name, pieces in self.pieces.items()}
        if self.kind == "toolUse":
            text = texts.get("input", "")
            given = read_any(text.encode("utf-8", "replace"))
            return {"toolUse": self.value | {"input": text if given is None and text else given or {}}}
        if self.kind == "reasoningContent":
            return {"reasoningContent": {"reasoningText": texts | self.value}}
        return {"text": texts.get("text", "")} if self.kind == "text" else {self.kind: self.value}


class ConverseStreamReader:
    """feed(event)* → finish(), once."""

    deltas = None

    def __init__(self) -> None:
        self._role: str | None = None
        self._blocks: dict[int, _Block] = {}
        self._end: dict[str, Any] = {}
        self._metadata: dict[str, Any] = {}
        self._error: ProviderError | None = None
        self._finished_ns: int | None = None
        self._milestones = Milestones()
        self._unknown = Unknowns()

    def feed(self, event: ServerSentEvent) -> None:
        fields = read_piece(event.data)
        if not isinstance(fields, dict):
            self._unknown.count("not a JSON object")
            return
        fields.pop("p", None)  # padding
        match event.event:
            case "messageStart":
                self._role = as_text(fields.get("role"))
            case "contentBlockStart":
                self._on_start(fields, event.t_ns)
            case "contentBlockDelta":
                self._on_delta(fields, event.t_ns)
            case "contentBlockStop":
                self._on_stop(fields, event.t_ns)
            case "messageStop":
                self._end = fields
                self._finished_ns = event.t_ns
            case "metadata":
                self._metadata = fields
            case "error":
                self._error = error_in(fields) or ProviderError(type=None, message=None)
                self._milestones.error(self._error.message, event.t_ns)
            case other:
                self._unknown.count(other)

    def so_far(self) -> SoFar:
        parts = [part for index, block in self._blocks.items() for part in block.parts(index)]
        return SoFar(usage=usage_of(self._metadata.get("usage")), parts=parts)

    def finish(self) -> ResponseFacts:
        blocks = [self._blocks[index] for index in sorted(self._blocks)]
        message = {"role": self._role or "assistant", "content": [block.rebuilt() for block in blocks]}
        has_any = blocks or self._end or self._metadata
        rebuilt = {"output": {"message": message}} | self._end | self._metadata
        facts = read_response(encode(rebuilt), 200) if has_any else ResponseFacts()
        if self._finished_ns is not None:
            self._milestones.completion(facts.finish_reason, self._finished_ns)
        is_call = [block.kind == "toolUse" and block.value.get("type") != "server_tool_use" for block in blocks]
        times = [block.stopped_ns for block, is_one in zip(blocks, is_call, strict=True) if is_one]
        return msgspec.structs.replace(
            facts,
            tool_calls=with_times(facts.tool_calls, times),
            error=self._error or facts.error,
            is_finished=self._finished_ns is not None,
            milestones=self._milestones.found,
            unknown_events=self._unknown.merged(facts.unknown_events),
        )

    def _block(self, fields: dict[str, Any], kind: str, t_ns: int) -> _Block:
        index = as_int(fields.get("contentBlockIndex"))
        index = max(self._blocks, default=0) if index is None else index
        block = self._blocks.get(index)
        if block is None:
            block = self._blocks[index] = _Block()
            block.kind = kind
            self._milestones.block_start(kind, t_ns)
        return block

    def _on_start(self, fields: dict[str, Any], t_ns: int) -> None:
        for kind, value in as_dict(fields.get("start")).items():
            self._block(fields, kind, t_ns).value = as_dict(value)

    def _on_delta(self, fields: dict[str, Any], t_ns: int) -> None:
        for kind, value in as_dict(fields.get("delta")).items():
            block = self._block(fields, kind, t_ns)
            for name, piece in ({kind: value} if isinstance(value, str) else as_dict(value)).items():
                if isinstance(piece, str):
                    block.pieces.setdefault(name, []).append(piece)
                    self._milestones.token(t_ns)

    def _on_stop(self, fields: dict[str, Any], t_ns: int) -> None:
        block = self._block(fields, "text", t_ns)
        block.stopped_ns = t_ns
        self._milestones.block_stop(block.kind, t_ns)
