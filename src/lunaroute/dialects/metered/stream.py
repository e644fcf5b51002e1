"""Streams of metered calls → their facts.

In: events in order, in any framing. Out: ResponseFacts. Transcriptions, speech, images and Cohere's chat all end with
an event that says what was used; the texts of the deltas before it add up to the answer. Invariants: no event raises;
what arrived before a cut is kept.
"""

from __future__ import annotations

from typing import Any

from lunaroute.assemble.sse_event import ServerSentEvent
from lunaroute.dialects.facts import ProviderError, ResponseFacts
from lunaroute.dialects.loose import as_dict, as_text, join_text, read_piece
from lunaroute.dialects.metered.response import text_of
from lunaroute.dialects.metered.usage import billing_of, find_usage, usage_of
from lunaroute.dialects.provider_error import error_in
from lunaroute.dialects.so_far import Part, SoFar
from lunaroute.dialects.stream_notes import Milestones

_LAST = (".done", ".completed", "-end", "stream-end", "messageStop", "message-end")


class MeteredStreamReader:
    """feed(event)* → finish(), once."""

    deltas = None

    def __init__(self) -> None:
        self._usage: dict[str, Any] | None = None
        self._texts: list[str] = []
        self._whole_text = ""
        self._names: dict[str, str | None] = {"id": None, "model": None, "finish_reason": None}
        self._message: dict[str, Any] | None = None
        self._error: ProviderError | None = None
        self._milestones = Milestones()

    def feed(self, event: ServerSentEvent) -> None:
        fields = read_piece(event.data)
        if not isinstance(fields, dict):
            return
        error = error_in(fields)
        if error is not None:
            self._error = error
            self._milestones.error(error.message, event.t_ns)
        for place in (fields, as_dict(fields.get("delta")), as_dict(fields.get("response"))):
            self._usage = find_usage(place) or self._usage
            for name in self._names:
                self._names[name] = self._names[name] or as_text(place.get(name))
        self._on_text(fields, event.t_ns)

    def so_far(self) -> SoFar:
        return SoFar(
            model=self._names["model"], usage=usage_of(self._usage), parts=[Part("text", "text", None, self._texts)]
        )

    def finish(self) -> ResponseFacts:
        text = self._whole_text or join_text(self._texts)
        return ResponseFacts(
            response_id=self._names["id"],
            model=self._names["model"],
            text=text,
            message=self._message,
            usage=usage_of(self._usage),
            billing=billing_of(self._usage),
            content_blocks=["text"] if text else ["image"] * ("b64_json" in as_dict(self._message)),
            finish_reason=self._names["finish_reason"],
            error=self._error,
            milestones=self._milestones.found,
        )

    def _on_text(self, fields: dict[str, Any], t_ns: int) -> None:
        kind = as_text(fields.get("type")) or as_text(fields.get("event_type")) or ""
        delta = fields.get("delta")
        if kind.endswith(("text.delta", "text-generation")) or kind == "content-delta":
            content = as_dict(as_dict(as_dict(delta).get("message")).get("content"))
            text = as_text(delta) or as_text(content.get("text")) or as_text(fields.get("text"))
            if text:
                self._texts.append(text)
                self._milestones.token(t_ns)
        elif kind.endswith(_LAST):
            self._message = fields
            self._whole_text = text_of(fields) or text_of(as_dict(fields.get("response")))
