"""Ollama's streams, one JSON object per line → the answer a plain call would have returned, and its facts.

In: lines in order, as events. Out: ResponseFacts with milestones. Invariants: no line raises; what arrived before a cut
is kept. Texts grow, lists get longer, everything else is replaced; the line with `done` is the last one.
"""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.assemble.sse_event import ServerSentEvent
from lunaroute.dialects.facts import ProviderError, ResponseFacts
from lunaroute.dialects.loose import as_dict, as_list, as_text, encode, join_text, read_piece
from lunaroute.dialects.ollama.response import read_response
from lunaroute.dialects.ollama.usage import usage_of
from lunaroute.dialects.provider_error import error_in
from lunaroute.dialects.so_far import Part, PartKind, SoFar
from lunaroute.dialects.stream_notes import Milestones, Unknowns, with_times

_TEXTS: dict[str, PartKind] = {"content": "text", "response": "text", "thinking": "thinking"}
"""Fields whose texts grow, and the kind of block each makes."""


class OllamaStreamReader:
    """feed(event)* → finish(), once."""

    deltas = None

    def __init__(self) -> None:
        self._answer: dict[str, Any] = {}
        self._message: dict[str, Any] | None = None
        self._texts: dict[str, list[str]] = {}
        self._calls: list[tuple[Any, int]] = []
        """Tool calls, which come whole, with their arrival."""
        self._error: ProviderError | None = None
        self._finished_ns: int | None = None
        self._open_block: str | None = None
        self._milestones = Milestones()
        self._unknown = Unknowns()

    def feed(self, event: ServerSentEvent) -> None:
        line = read_piece(event.data)
        if not isinstance(line, dict):
            if not event.is_cut:
                self._unknown.count("not a JSON object")
            return
        error = error_in(line)
        if error is not None:
            self._error = error
            self._milestones.error(error.message, event.t_ns)
        self._add(line, self._answer, event.t_ns)
        if isinstance(line.get("message"), dict):
            self._message = self._message or {}
            self._add(line["message"], self._message, event.t_ns)
        if line.get("done") is True:
            self._end_block(event.t_ns)
            self._finished_ns = event.t_ns

    def so_far(self) -> SoFar:
        parts = [Part(name, _TEXTS[name], None, pieces) for name, pieces in self._texts.items()]
        for number, (call, _) in enumerate(self._calls):
            function = as_dict(as_dict(call).get("function"))
            arguments = encode(function.get("arguments")).decode()
            parts.append(Part(f"call.{number}", "tool_call", as_text(function.get("name")), (arguments,)))
        return SoFar(model=as_text(self._answer.get("model")), usage=usage_of(self._answer), parts=parts)

    def finish(self) -> ResponseFacts:
        facts = (
            read_response(encode(self._rebuilt()), 200)
            if self._answer or self._message is not None
            else ResponseFacts()
        )
        if self._finished_ns is not None:
            self._milestones.completion(facts.finish_reason, self._finished_ns)
        return msgspec.structs.replace(
            facts,
            tool_calls=with_times(facts.tool_calls, [t_ns for _, t_ns in self._calls]),
            error=self._error or facts.error,
            is_finished=self._finished_ns is not None,
            milestones=self._milestones.found,
            unknown_events=self._unknown.merged(facts.unknown_events),
        )

    def _rebuilt(self) -> dict[str, Any]:
        texts = {name: join_text(pieces) for name, pieces in self._texts.items()}
        if self._message is None:
            return self._answer | texts
        message = self._message | texts
        if self._calls:
            message["tool_calls"] = [call for call, _ in self._calls]
        return self._answer | {"message": message}

    def _add(self, fields: dict[str, Any], into: dict[str, Any], t_ns: int) -> None:
        for key, value in fields.items():
            if key in _TEXTS and isinstance(value, str):
                self._texts.setdefault(key, [])
                if value:
                    self._grow(key, value, t_ns)
            elif key == "tool_calls":
                self._end_block(t_ns)
                for call in as_list(value):
                    self._milestones.block_start("tool_call", t_ns)
                    self._milestones.token(t_ns)
                    self._milestones.block_stop("tool_call", t_ns)
                    self._calls.append((call, t_ns))
            elif key != "message" and value is not None:
                into[key] = value

    def _grow(self, key: str, text: str, t_ns: int) -> None:
        kind = _TEXTS[key]
        if self._open_block != kind:
            self._end_block(t_ns)
            self._open_block = kind
            self._milestones.block_start(kind, t_ns)
        self._milestones.token(t_ns)
        self._texts[key].append(text)

    def _end_block(self, t_ns: int) -> None:
        if self._open_block is not None:
            self._milestones.block_stop(self._open_block, t_ns)
            self._open_block = None
