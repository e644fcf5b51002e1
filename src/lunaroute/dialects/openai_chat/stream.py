"""Chat completion chunks → the completion a plain call would have returned, and its facts.

In: events in order. Out: ResponseFacts with milestones. Invariants: no event raises; what arrived before a cut is
kept. The format has no blocks; a run of deltas of one kind (text, reasoning, one tool call) counts as one, which
ends when another begins or the choice finishes.
"""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.assemble.sse_event import ServerSentEvent
from lunaroute.dialects.delta_shape import DeltaShape
from lunaroute.dialects.facts import ProviderError, ResponseFacts
from lunaroute.dialects.loose import as_dict, as_list, as_text, encode, read_piece
from lunaroute.dialects.openai_chat.choice import StreamedChoice
from lunaroute.dialects.openai_chat.response import read_response
from lunaroute.dialects.openai_chat.usage import find_usage, usage_of
from lunaroute.dialects.provider_error import error_in, error_of
from lunaroute.dialects.so_far import SoFar
from lunaroute.dialects.stream_notes import Milestones, Unknowns, with_times

_FROM_FIRST_CHUNK = frozenset({"id", "model", "created"})
"""Azure's and Copilot's first chunks have them empty, some providers change them on the way: the first non-empty
one counts."""

_NOT_KEPT = frozenset({"choices", "object", "obfuscation", "usage"})
"""`obfuscation` is padding against traffic analysis."""


class ChatStreamReader:
    """feed(event)* → finish(), once."""

    def __init__(self) -> None:
        self._envelope: dict[str, Any] = {}
        self._usage: dict[str, Any] | None = None
        self._choices: dict[int, StreamedChoice] = {}
        self._error: ProviderError | None = None
        self._is_done = False
        self._finished_ns: int | None = None
        self._milestones = Milestones()
        self._unknown = Unknowns()
        self.deltas = DeltaShape()

    def feed(self, event: ServerSentEvent) -> None:
        data = event.data
        if self.deltas.take(event):
            return
        self.deltas.forget()
        if data == b"[DONE]":
            self._is_done = True
            self._finished_ns = event.t_ns
            return
        chunk = read_piece(data)
        if not isinstance(chunk, dict):
            if not event.is_cut:
                self._unknown.count("not a JSON object")
            return
        self._on_error(chunk, event)
        self._on_envelope(chunk)
        choices = chunk.get("choices")
        if isinstance(choices, list):
            for choice in choices:
                self._on_choice(choice, event, len(choices) == 1)

    def so_far(self) -> SoFar:
        parts = [part for choice in self._choices.values() for part in choice.parts()]
        return SoFar(model=as_text(self._envelope.get("model")), usage=usage_of(self._usage), parts=parts)

    def finish(self) -> ResponseFacts:
        choices = [self._choices[index] for index in sorted(self._choices)]
        is_finished = self._is_done or any(choice.finish_reason for choice in choices)
        if self._finished_ns is not None and is_finished:
            for choice in choices:
                choice.end_block(self._finished_ns)
            self._milestones.completion(choices[0].finish_reason if choices else None, self._finished_ns)
        facts = ResponseFacts()
        if self._envelope or choices or self._usage:
            facts = read_response(encode(self._rebuilt(choices)), 200)
        times = [t_ns for choice in choices for t_ns in choice.tool_call_times_ns()]
        return msgspec.structs.replace(
            facts,
            tool_calls=with_times(facts.tool_calls, times),
            error=self._error or facts.error,
            is_finished=is_finished,
            milestones=self._milestones.found,
            unknown_events=self._unknown.merged(facts.unknown_events),
        )

    def _rebuilt(self, choices: list[StreamedChoice]) -> dict[str, Any]:
        completion: dict[str, Any] = {"id": None, "object": "chat.completion"} | self._envelope
        completion["choices"] = [choice.rebuilt() for choice in choices]
        if self._usage is not None:
            completion["usage"] = self._usage
        return completion

    def _on_error(self, chunk: dict[str, Any], event: ServerSentEvent) -> None:
        error = error_in(chunk) if "error" in chunk else None
        if error is None and event.event == "error":
            error = error_of(chunk)
        for choice in as_list(chunk.get("choices")) if error is None else ():
            if isinstance(choice, dict) and "error" in choice:
                error = error or error_in(choice)
        if error is not None:
            self._error = error
            self._milestones.error(error.message, event.t_ns)

    def _on_envelope(self, chunk: dict[str, Any]) -> None:
        usage = chunk.get("usage")
        if usage is None and ("x_groq" in chunk or "choices" in chunk):
            usage = find_usage(chunk)
        if isinstance(usage, dict) and usage:
            self._usage = usage
        envelope = self._envelope
        for key, value in chunk.items():
            if key in _NOT_KEPT or value is None or value == "":
                continue
            if key not in _FROM_FIRST_CHUNK or key not in envelope:
                envelope[key] = value

    def _on_choice(self, choice: Any, event: ServerSentEvent, is_only_one: bool) -> None:
        if not isinstance(choice, dict):
            self._unknown.count("choice that is no object")
            return
        index = choice.get("index")
        if type(index) is not int:
            index = 0
        state = self._choices.get(index)
        if state is None:
            state = self._choices[index] = StreamedChoice(index, self._milestones)
        # Perplexity sends the message so far beside each delta; others send it instead, once.
        delta = choice.get("delta")
        text_key = state.add(delta if isinstance(delta, dict) else as_dict(choice.get("message")), event.t_ns)
        has_more = len(choice) > 3 and state.add_fields(choice)
        reason = as_text(choice.get("finish_reason"))
        if reason:
            state.finish_reason = reason
            state.end_block(event.t_ns)
            self._finished_ns = event.t_ns
        elif text_key is not None and is_only_one and not has_more and "error" not in choice:
            self.deltas.learn(event, f'"{text_key}":'.encode(), state.growing(text_key))
