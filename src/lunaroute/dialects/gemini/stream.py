"""Streamed Gemini responses → the response a plain call would have returned, and its facts.

In: events in order, each a response object with the next parts; server-sent events and the elements of a JSON array
read alike. Out: ResponseFacts with milestones. Invariants: no event raises; what arrived before a cut is kept. Texts
that follow each other are one part; every other part stands alone. The format has no terminal event: a finish reason
ends the stream.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from lunaroute.assemble.sse_event import ServerSentEvent
from lunaroute.dialects.facts import ProviderError, ResponseFacts
from lunaroute.dialects.gemini.partial_args import put_partial
from lunaroute.dialects.gemini.response import finish_reason, kind_of, read_response, unwrapped
from lunaroute.dialects.gemini.usage import usage_of
from lunaroute.dialects.loose import as_dict, as_int, as_list, as_text, encode, join_text, read_piece
from lunaroute.dialects.provider_error import error_in
from lunaroute.dialects.so_far import Part, SoFar
from lunaroute.dialects.stream_notes import Milestones, Unknowns, with_times

_TEXTS = ("text", "thought")


class _Part:
    """A part as it grows."""

    def __init__(self, kind: str, value: dict[str, Any]) -> None:
        self.kind = kind
        self.value = value
        self.texts: list[str] = []
        self.is_open = kind in _TEXTS
        self.ended_ns: int | None = None

    def rebuilt(self) -> dict[str, Any]:
        return self.value | {"text": join_text(self.texts)} if self.kind in _TEXTS else self.value


class _Candidate:
    """One candidate as it grows."""

    def __init__(self, milestones: Milestones) -> None:
        self.parts: list[_Part] = []
        self._fields: dict[str, Any] = {}
        self._role: Any = None
        self._milestones = milestones

    def add(self, candidate: dict[str, Any], t_ns: int) -> None:
        content = as_dict(candidate.get("content"))
        self._role = content.get("role") or self._role
        for part in as_list(content.get("parts")):
            if isinstance(part, dict):
                self._add_part(part, t_ns)
        self._fields.update((key, value) for key, value in candidate.items() if key != "content" and value is not None)
        if candidate.get("finishReason") is not None:
            self._end_last(t_ns)

    def so_far(self, index: int) -> Iterator[Part]:
        """Its texts and calls so far. The arguments of a call are no text that grows, so they come when they are all
        there."""
        for number, part in enumerate(self.parts):
            key = f"{index}.{number}"
            if part.kind in _TEXTS:
                yield Part(key, "thinking" if part.kind == "thought" else "text", None, part.texts)
            elif part.kind == "functionCall":
                call = as_dict(part.value.get("functionCall"))
                pieces = () if part.is_open else (encode(call.get("args") or {}).decode(),)
                yield Part(key, "tool_call", as_text(call.get("name")), pieces)

    def rebuilt(self) -> dict[str, Any]:
        content: dict[str, Any] = {"parts": [part.rebuilt() for part in self.parts]}
        if self._role is not None:
            content["role"] = self._role
        return {"content": content} | self._fields

    def _add_part(self, part: dict[str, Any], t_ns: int) -> None:
        kind = kind_of(part)
        last = self.parts[-1] if self.parts else None
        if last is not None and last.is_open and last.kind == kind and self._continue(last, part, t_ns):
            return
        self._end_last(t_ns)
        last = _Part(kind, part)
        self.parts.append(last)
        self._milestones.block_start(kind, t_ns)
        if kind == "functionCall":
            self._begin_call(last, as_dict(part.get("functionCall")))
        if kind in _TEXTS:
            self._continue(last, part, t_ns)
            return
        self._milestones.token(t_ns)
        if not last.is_open:
            self._end_last(t_ns)

    def _continue(self, last: _Part, part: dict[str, Any], t_ns: int) -> bool:
        if last.kind == "functionCall":
            return self._continue_call(last, as_dict(part.get("functionCall")), t_ns)
        text = as_text(part.get("text"))
        if text:
            last.texts.append(text)
            self._milestones.token(t_ns)
        last.value.update((key, value) for key, value in part.items() if key != "text")
        return True

    def _begin_call(self, last: _Part, call: dict[str, Any]) -> None:
        last.is_open = call.get("willContinue") is True
        if last.is_open or "partialArgs" in call:
            call = {key: value for key, value in call.items() if key not in ("willContinue", "partialArgs")}
            given = as_dict(last.value.get("functionCall"))
            last.value = last.value | {"functionCall": call}
            _take_partials(call, given)

    def _continue_call(self, last: _Part, call: dict[str, Any], t_ns: int) -> bool:
        """Pieces of a call name no tool; one that does is another call."""
        if as_text(call.get("name")):
            return False
        _take_partials(last.value["functionCall"], call)
        if call.get("willContinue") is not True:
            self._end_last(t_ns)
        return True

    def _end_last(self, t_ns: int) -> None:
        if self.parts and self.parts[-1].ended_ns is None:
            last = self.parts[-1]
            last.is_open = False
            last.ended_ns = t_ns
            self._milestones.block_stop(last.kind, t_ns)


def _take_partials(call: dict[str, Any], piece: dict[str, Any]) -> None:
    arguments = call.get("args")
    if not isinstance(arguments, dict):
        arguments = call["args"] = {}
    arguments.update(as_dict(piece.get("args")))
    for entry in as_list(piece.get("partialArgs")):
        put_partial(arguments, as_dict(entry))


class GeminiStreamReader:
    """feed(event)* → finish(), once."""

    deltas = None

    def __init__(self) -> None:
        self._envelope: dict[str, Any] = {}
        self._candidates: dict[int, _Candidate] = {}
        self._error: ProviderError | None = None
        self._finished_ns: int | None = None
        self._milestones = Milestones()
        self._unknown = Unknowns()

    def feed(self, event: ServerSentEvent) -> None:
        fields = read_piece(event.data)
        if isinstance(fields, list) and len(fields) == 1:
            fields = fields[0]
        if not isinstance(fields, dict):
            if not event.is_cut:
                self._unknown.count("not a JSON object")
            return
        error = error_in(fields)
        if error is not None:
            self._error = error
            self._milestones.error(error.message, event.t_ns)
            return
        chunk = unwrapped(fields)
        for key, value in chunk.items():
            if key != "candidates" and value is not None and not self._says_less(key, value):
                self._envelope[key] = value
        for candidate in as_list(chunk.get("candidates")):
            self._on_candidate(candidate, event.t_ns)
        if finish_reason(chunk) is not None:
            self._finished_ns = event.t_ns

    def so_far(self) -> SoFar:
        parts = [part for index, candidate in self._candidates.items() for part in candidate.so_far(index)]
        usage = usage_of(self._envelope.get("usageMetadata"))
        return SoFar(model=as_text(self._envelope.get("modelVersion")), usage=usage, parts=parts)

    def finish(self) -> ResponseFacts:
        rebuilt = dict(self._envelope)
        if self._candidates:
            rebuilt["candidates"] = [self._candidates[index].rebuilt() for index in sorted(self._candidates)]
        facts = read_response(encode(rebuilt), 200) if rebuilt else ResponseFacts()
        if self._finished_ns is not None:
            self._milestones.completion(facts.finish_reason, self._finished_ns)
        parts = [part for index in sorted(self._candidates) for part in self._candidates[index].parts]
        times = [part.ended_ns for part in parts if part.kind == "functionCall"]
        return msgspec.structs.replace(
            facts,
            tool_calls=with_times(facts.tool_calls, times),
            error=self._error or facts.error,
            is_finished=self._finished_ns is not None,
            milestones=self._milestones.found,
            unknown_events=self._unknown.merged(facts.unknown_events),
        )

    def _says_less(self, key: str, value: Any) -> bool:
        """Vertex AI names the kind of traffic in objects that count nothing; those must not replace one that does."""
        return key == "usageMetadata" and key in self._envelope and "totalTokenCount" not in as_dict(value)

    def _on_candidate(self, candidate: Any, t_ns: int) -> None:
        if not isinstance(candidate, dict):
            self._unknown.count("candidate that is no object")
            return
        index = as_int(candidate.get("index")) or 0
        if index not in self._candidates:
            self._candidates[index] = _Candidate(self._milestones)
        self._candidates[index].add(candidate, t_ns)
