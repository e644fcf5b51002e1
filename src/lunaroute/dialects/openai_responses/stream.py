"""Responses event streams → the response object a plain call would have returned, and its facts.

In: events in order. Out: ResponseFacts with milestones. Invariants: no event raises; what arrived before a cut is
kept.

The last event (`response.completed`, `.incomplete`, `.failed`) carries the whole response object. Where it does not
(the ChatGPT backend sends `output: []`) or never came, the items of `response.output_item.done` stand in, and for an
item that never got done, its deltas. Deltas are thus rarely needed: they are kept undecoded until that is known.
"""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.assemble.sse_event import ServerSentEvent
from lunaroute.dialects.facts import ProviderError, ResponseFacts, ToolCall
from lunaroute.dialects.loose import as_dict, as_int, as_text, encode, length_of, read_any, read_as
from lunaroute.dialects.openai_responses.partial import PartialItems
from lunaroute.dialects.openai_responses.response import read_response
from lunaroute.dialects.openai_responses.usage import usage_of
from lunaroute.dialects.provider_error import error_in, error_of
from lunaroute.dialects.so_far import SoFar
from lunaroute.dialects.stream_notes import Milestones, Unknowns

_TERMINAL = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})
_SNAPSHOTS = frozenset({"response.created", "response.in_progress", "response.queued"})

_TOKEN_DELTAS = frozenset(
    {
        "response.output_text.delta",
        "response.refusal.delta",
        "response.reasoning_text.delta",
        "response.reasoning_summary_text.delta",
        "response.function_call_arguments.delta",
        "response.custom_tool_call_input.delta",
        "response.mcp_call_arguments.delta",
        "response.code_interpreter_call_code.delta",
        "response.shell_call_command.delta",
        "response.apply_patch_call_operation_diff.delta",
        "response.output_audio.delta",
        "response.audio.delta",
    }
)
"""Deltas of what the model generates."""

_REDUNDANT = (
    "response.content_part.",
    "response.output_text.",
    "response.refusal.",
    "response.reasoning",
    "response.function_call_arguments.",
    "response.custom_tool_call_input.",
    "response.mcp_",
    "response.web_search_call.",
    "response.x_search_call.",
    "response.file_search_call.",
    "response.code_interpreter_call",
    "response.image_generation_call.",
    "response.shell_call_",
    "response.apply_patch_call_",
    "response.output_audio",
    "response.audio",
    "response.tool_search_call.",
    "response.compaction",
    "response.rate_limits",
    "response.metadata",
    "response.steer.",
    "codex.",
    "keepalive",
    "ping",
)
"""Known events whose content comes again in the items."""


class _Envelope(msgspec.Struct):
    type: Any = None
    response: msgspec.Raw = msgspec.Raw()


_envelope_decoder = msgspec.json.Decoder(_Envelope)


class _Told(msgspec.Struct):
    model: Any = None
    usage: Any = None


_told_decoder = msgspec.json.Decoder(_Told)


class _Output(msgspec.Struct):
    output: msgspec.Raw = msgspec.Raw()


_output_decoder = msgspec.json.Decoder(_Output)


def _has_output(response: msgspec.Raw) -> bool:
    found = read_as(response, _output_decoder)
    return found is not None and length_of(found.output) > 0


class ResponsesStreamReader:
    """feed(event)* → finish(), once."""

    deltas = None

    def __init__(self) -> None:
        self._items = PartialItems()
        self._snapshot: ServerSentEvent | None = None
        self._terminal: msgspec.Raw | None = None
        self._error: ProviderError | None = None
        self._error_status: int | None = None
        self._milestones = Milestones()
        self._ended_ns: dict[str, int] = {}
        self._terminal_ns = 0
        self._unknown = Unknowns()
        self._told = _Told()
        """What the newest snapshot says; it repeats the whole request, so it is read once."""
        self._told_by: ServerSentEvent | None = None

    def feed(self, event: ServerSentEvent) -> None:
        if event.is_cut and read_any(event.data) is None:
            return
        # Some gateways leave the event's name out; it is in the data too.
        kind = event.event
        if not kind.startswith("response."):
            if event.data == b"[DONE]":
                return
            kind = self._kind_in_data(event) or kind
        if kind in _TOKEN_DELTAS:
            self._items.keep_delta(kind, event.data)
            self._milestones.token(event.t_ns)
        elif kind in _SNAPSHOTS:
            self._snapshot = event
        elif kind in _TERMINAL:
            self._on_terminal(event)
        elif kind == "response.output_item.added":
            self._on_item_added(as_dict(read_any(event.data)), event.t_ns)
        elif kind == "response.output_item.done":
            self._on_item_done(as_dict(read_any(event.data)), event.t_ns)
        elif kind == "error":
            self._on_error(as_dict(read_any(event.data)), event.t_ns)
        elif not kind.startswith(_REDUNDANT):
            self._unknown.count(kind)

    def so_far(self) -> SoFar:
        if self._terminal is not None or self._told_by is not self._snapshot:
            self._told_by = self._snapshot
            self._told = read_as(self._terminal or self._snapshot_response() or b"", _told_decoder) or _Told()
        told = self._told
        return SoFar(model=as_text(told.model), usage=usage_of(told.usage), parts=list(self._items.parts()))

    def finish(self) -> ResponseFacts:
        body = self._whole()
        facts = ResponseFacts() if body is None else read_response(body, 200)
        is_finished = self._terminal is not None
        if is_finished:
            self._milestones.completion(facts.finish_reason, self._terminal_ns)
        return msgspec.structs.replace(
            facts,
            tool_calls=[self._with_time(call) for call in facts.tool_calls],
            # A stream that was cut ended in no status: `in_progress` is how it began.
            finish_reason=facts.finish_reason if is_finished else None,
            error=self._error or facts.error,
            error_status=self._error_status,
            is_finished=is_finished,
            milestones=self._milestones.found,
            unknown_events=self._unknown.merged(facts.unknown_events),
        )

    def _kind_in_data(self, event: ServerSentEvent) -> str | None:
        envelope = read_as(event.data, _envelope_decoder)
        if envelope is None:
            self._unknown.count("not a JSON object")
            return "keepalive"
        return as_text(envelope.type)

    def _whole(self) -> bytes | None:
        """The response object as JSON: the provider's own where it is whole, else put together."""
        raw = self._terminal or self._snapshot_response()
        if raw is not None and (self._items.is_empty or _has_output(raw)):
            return bytes(raw)
        response = read_any(raw) if raw is not None else None
        if not isinstance(response, dict):
            if self._items.is_empty:
                return None
            response = {"object": "response"}
        response["output"] = self._items.rebuilt()
        return encode(response)

    def _snapshot_response(self) -> msgspec.Raw | None:
        if self._snapshot is None:
            return None
        envelope = read_as(self._snapshot.data, _envelope_decoder)
        return envelope.response if envelope is not None and envelope.response else None

    def _on_terminal(self, event: ServerSentEvent) -> None:
        envelope = read_as(event.data, _envelope_decoder)
        if envelope is None or not envelope.response:
            self._unknown.count("terminal event without response")
            return
        self._terminal = envelope.response
        self._terminal_ns = event.t_ns

    def _on_item_added(self, fields: dict[str, Any], t_ns: int) -> None:
        item = as_dict(fields.get("item"))
        if not item:
            self._unknown.count("output item that is no object")
            return
        self._items.add(as_int(fields.get("output_index")), item)
        self._milestones.block_start(as_text(item.get("type")), t_ns)

    def _on_item_done(self, fields: dict[str, Any], t_ns: int) -> None:
        item = as_dict(fields.get("item"))
        if not item:
            self._unknown.count("output item that is no object")
            return
        self._items.done(as_int(fields.get("output_index")), item)
        for key in ("call_id", "id"):
            if isinstance(item.get(key), str):
                self._ended_ns[item[key]] = t_ns
        self._milestones.block_stop(as_text(item.get("type")), t_ns)

    def _on_error(self, fields: dict[str, Any], t_ns: int) -> None:
        plain = {key: value for key, value in fields.items() if key != "type"}
        self._error = error_in(fields) or error_of(plain)
        self._error_status = as_int(fields.get("status"))
        self._milestones.error(self._error.message, t_ns)

    def _with_time(self, call: ToolCall) -> ToolCall:
        return msgspec.structs.replace(call, t_ns=self._ended_ns.get(call.tool_call_id or ""))
