"""Streamed text completions → the completion a plain call would have returned, and its facts.

In: events in order. Out: ResponseFacts with milestones. Invariants: no event raises; what arrived before a cut is
kept. The text of a choice is one block, which ends with its finish reason.
"""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.assemble.sse_event import ServerSentEvent
from lunaroute.dialects.delta_shape import DeltaShape
from lunaroute.dialects.facts import ProviderError, ResponseFacts
from lunaroute.dialects.loose import as_int, as_list, as_text, encode, join_text, read_piece
from lunaroute.dialects.openai_chat.usage import find_usage, usage_of
from lunaroute.dialects.openai_completions.response import read_response
from lunaroute.dialects.provider_error import error_in, error_of
from lunaroute.dialects.so_far import Part, SoFar
from lunaroute.dialects.stream_notes import Milestones, Unknowns

_FROM_FIRST_CHUNK = frozenset({"id", "model", "created"})
_NOT_KEPT = frozenset({"choices", "usage", "obfuscation"})


class _Choice:
    """One choice as it grows."""

    def __init__(self, index: int) -> None:
        self.texts: list[str] = []
        self.fields: dict[str, Any] = {"index": index, "finish_reason": None}
        self.is_begun = False


class CompletionStreamReader:
    """feed(event)* → finish(), once."""

    def __init__(self) -> None:
        self._envelope: dict[str, Any] = {}
        self._usage: dict[str, Any] | None = None
        self._choices: dict[int, _Choice] = {}
        self._error: ProviderError | None = None
        self._finished_ns: int | None = None
        self._milestones = Milestones()
        self._unknown = Unknowns()
        self.deltas = DeltaShape()

    def feed(self, event: ServerSentEvent) -> None:
        if self.deltas.take(event):
            return
        self.deltas.forget()
        if event.data == b"[DONE]":
            self._finished_ns = event.t_ns
            return
        chunk = read_piece(event.data)
        if not isinstance(chunk, dict):
            if not event.is_cut:
                self._unknown.count("not a JSON object")
            return
        error = error_in(chunk) or (error_of(chunk) if event.event == "error" else None)
        if error is not None:
            self._error = error
            self._milestones.error(error.message, event.t_ns)
        self._on_envelope(chunk)
        choices = as_list(chunk.get("choices"))
        for choice in choices:
            self._on_choice(choice, event, len(choices) == 1)

    def so_far(self) -> SoFar:
        parts = [Part(str(index), "text", None, choice.texts) for index, choice in self._choices.items()]
        return SoFar(model=as_text(self._envelope.get("model")), usage=usage_of(self._usage), parts=parts)

    def finish(self) -> ResponseFacts:
        choices = [self._choices[index] for index in sorted(self._choices)]
        facts = ResponseFacts()
        if self._envelope or choices or self._usage:
            facts = read_response(encode(self._rebuilt(choices)), 200)
        if self._finished_ns is not None:
            self._milestones.completion(facts.finish_reason, self._finished_ns)
        return msgspec.structs.replace(
            facts,
            error=self._error or facts.error,
            is_finished=self._finished_ns is not None,
            milestones=self._milestones.found,
            unknown_events=self._unknown.merged(facts.unknown_events),
        )

    def _rebuilt(self, choices: list[_Choice]) -> dict[str, Any]:
        completion: dict[str, Any] = {"id": None, "object": "text_completion"} | self._envelope
        completion["choices"] = [{"text": join_text(choice.texts)} | choice.fields for choice in choices]
        if self._usage is not None:
            completion["usage"] = self._usage
        return completion

    def _on_envelope(self, chunk: dict[str, Any]) -> None:
        self._usage = find_usage(chunk) or self._usage
        for key, value in chunk.items():
            if (
                key not in _NOT_KEPT
                and value not in (None, "")
                and not (key in _FROM_FIRST_CHUNK and key in self._envelope)
            ):
                self._envelope[key] = value

    def _on_choice(self, fields: Any, event: ServerSentEvent, is_only_one: bool) -> None:
        if not isinstance(fields, dict):
            self._unknown.count("choice that is no object")
            return
        index = as_int(fields.get("index")) or 0
        choice = self._choices.setdefault(index, _Choice(index))
        text = as_text(fields.get("text"))
        if text:
            self._on_text(choice, text, event.t_ns)
        extra = {key: value for key, value in fields.items() if key not in ("text", "usage") and value is not None}
        choice.fields |= extra
        if extra.get("finish_reason"):
            self._finished_ns = event.t_ns
            if choice.is_begun:
                self._milestones.block_stop("text", event.t_ns)
        elif text and is_only_one and set(extra) <= {"index"} and "error" not in fields:
            self.deltas.learn(event, b'"text":', choice.texts)

    def _on_text(self, choice: _Choice, text: str, t_ns: int) -> None:
        if not choice.is_begun:
            choice.is_begun = True
            self._milestones.block_start("text", t_ns)
        self._milestones.token(t_ns)
        choice.texts.append(text)
