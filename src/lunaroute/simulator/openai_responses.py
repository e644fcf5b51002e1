"""The OpenAI Responses dialect: body → prompt, reply → body or event stream, errors, headers.

Events are ordered as the provider sends them: created, in_progress, per output item added … done, then
completed (or incomplete) with the whole response; `sequence_number` counts them from 0.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from lunaroute.simulator import openai_common
from lunaroute.simulator.dialect import Conversations, part_of, sse, text_of
from lunaroute.simulator.ids import IdMint
from lunaroute.simulator.openai_common import dated, is_reasoning, obfuscation
from lunaroute.simulator.pace import first_gap_ms, gap_ms, pieces
from lunaroute.simulator.turn import DialectName, Prompt, Reply, RequestRefusedError, Step, Tool, ToolCall

NAME: DialectName = "openai_responses"

error = openai_common.error
headers = openai_common.headers
mint_request_id = openai_common.mint_request_id
stream_type = openai_common.stream_type


def read_prompt(body: dict[str, Any], kept: Conversations) -> Prompt:
    items = _all_input(body, kept)
    if not items:
        raise RequestRefusedError(400, "Missing required parameter: 'input'.", "missing_required_parameter")
    choice = body.get("tool_choice")
    user_text, rounds, last_result = _position(items)
    model = str(body.get("model"))
    return Prompt(
        model=model,
        is_stream=bool(body.get("stream")),
        user_text=user_text,
        round_count=rounds,
        last_result=last_result,
        tools=() if choice == "none" else tuple(_tools(_offered(body, items))),
        forced_tool=choice.get("name") if isinstance(choice, dict) else None,
        is_thinking=is_reasoning(model) or bool(body.get("reasoning")),
        max_output_tokens=body.get("max_output_tokens"),
        parts=tuple(part_of(p) for p in [body.get("tools"), body.get("instructions"), *items] if p),
        is_auto_cached=True,
    )


def _all_input(body: dict[str, Any], kept: Conversations) -> list[dict[str, Any]]:
    """The input items, with those of the response it continues in front."""
    given = body.get("input") or []
    items = [{"role": "user", "content": given}] if isinstance(given, str) else list(given)
    previous_id = body.get("previous_response_id")
    if previous_id is None:
        return items
    earlier = kept.find(previous_id)
    if earlier is None:
        text = f"Previous response with id '{previous_id}' not found."
        raise RequestRefusedError(400, text, "previous_response_not_found")
    return [*earlier["items"], *items]


def _offered(body: dict[str, Any], items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The tools as written: Codex puts them into an input item for models that take them from there."""
    added = [tool for item in items if item.get("type") == "additional_tools" for tool in item.get("tools") or []]
    return [*(body.get("tools") or []), *added]


def _tools(offered: list[dict[str, Any]], namespace: str | None = None) -> Iterator[Tool]:
    """Those the client runs itself, out of their namespaces."""
    for tool in offered:
        match tool.get("type"):
            case "function":
                yield Tool(name=tool["name"], schema=tool.get("parameters") or {}, namespace=namespace)
            case "custom":
                yield Tool(name=tool["name"], schema={}, namespace=namespace, is_freeform=True)
            case "namespace":
                yield from _tools(tool.get("tools") or [], tool["name"])


def _position(items: list[dict[str, Any]]) -> tuple[str, int, str]:
    """(newest user text, rounds of tool calls since, newest tool results)."""
    rounds, results, was_result = 0, [], False
    for item in reversed(items):
        is_result = item.get("type") in ("function_call_output", "custom_tool_call_output")
        if is_result:
            rounds += not was_result
            if rounds == 1:
                results.append(text_of(item.get("output")))
        elif item.get("role") == "user" or _is_task(item):
            return _said(item), rounds, "\n".join(reversed(results))
        was_result = is_result
    return "", rounds, "\n".join(reversed(results))


def _is_task(item: dict[str, Any]) -> bool:
    """What Codex tells a sub-agent to do; other messages between agents are no new turn."""
    return item.get("type") == "agent_message" and _said(item).startswith("Message Type: NEW_TASK")


def _said(item: dict[str, Any]) -> str:
    """The text of a message. Here, unlike at the provider, what is called encrypted is plain."""
    content = item.get("content")
    parts = content if isinstance(content, list) else []
    hidden = [part["encrypted_content"] for part in parts if part.get("type") == "encrypted_content"]
    return "\n".join([text_of(content), *hidden])


def mint_id(ids: IdMint) -> str:
    return ids.hex("resp_", 50)


def mint_call_id(ids: IdMint, model: str) -> str:
    return ids.text("call_", 24)


def usage(reply: Reply) -> dict[str, Any]:
    tokens = reply.tokens
    return {
        "input_tokens": tokens.input_tokens,
        "input_tokens_details": {"cached_tokens": tokens.cache_read_tokens, "cache_write_tokens": 0},
        "output_tokens": tokens.output_tokens,
        "output_tokens_details": {"reasoning_tokens": tokens.thinking_tokens},
        "total_tokens": tokens.input_tokens + tokens.output_tokens,
    }


def whole(reply: Reply, ids: IdMint, kept: Conversations) -> dict[str, Any]:
    items = _output(reply, ids)
    _keep(reply, items, kept)
    return _finished(reply, items)


def stream(reply: Reply, ids: IdMint, kept: Conversations) -> list[Step]:
    items = _output(reply, ids)
    _keep(reply, items, kept)
    events = _Events(reply)
    begun = _response(reply) | {"status": "in_progress", "output": [], "usage": None}
    events.add("response.created", first_gap_ms(reply.id), response=begun)
    events.add("response.in_progress", response=begun)
    for index, item in enumerate(items):
        events.item(index, item)
    done = _finished(reply, items)
    events.add(f"response.{done['status']}", 4.0, response=done)
    return events.steps


class _Events:
    """Writes the events of one stream, numbered."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._options: dict[str, Any] = reply.body.get("stream_options") or {}
        self.steps: list[Step] = []

    def add(self, kind: str, delay_ms: float = 0.0, **fields: Any) -> None:
        event = {"type": kind, "sequence_number": len(self.steps), **fields}
        self.steps.append(Step(data=sse(event, kind), delay_ms=delay_ms))

    def _deltas(self, kind: str, text: str, place: dict[str, Any]) -> None:
        for piece in pieces(text):
            pad = obfuscation(self._reply.prompt, self._options, piece, len(self.steps))
            self.add(f"{kind}.delta", gap_ms(piece), **place, delta=piece, **pad)

    def item(self, index: int, item: dict[str, Any]) -> None:
        match item["type"]:
            case "reasoning":
                self.reasoning(index, item)
            case "message":
                self.message(index, item)
            case "custom_tool_call":
                self.call(index, item, "input", "response.custom_tool_call_input")
            case _:
                self.call(index, item, "arguments", "response.function_call_arguments")

    def reasoning(self, index: int, item: dict[str, Any]) -> None:
        self.add("response.output_item.added", output_index=index, item={**item, "summary": []})
        hidden_ms = sum(gap_ms(piece) for piece in pieces(self._reply.turn.thinking))
        for number, part in enumerate(item["summary"]):
            place = {"item_id": item["id"], "output_index": index, "summary_index": number}
            self.add("response.reasoning_summary_part.added", **place, part={**part, "text": ""})
            self._deltas("response.reasoning_summary_text", part["text"], place)
            self.add("response.reasoning_summary_text.done", **place, text=part["text"])
            self.add("response.reasoning_summary_part.done", **place, part=part)
            hidden_ms = 0.0
        self.add("response.output_item.done", hidden_ms, output_index=index, item=item)

    def message(self, index: int, item: dict[str, Any]) -> None:
        part = item["content"][0]
        opened = {**item, "status": "in_progress", "content": []}
        place = {"item_id": item["id"], "output_index": index, "content_index": 0}
        self.add("response.output_item.added", output_index=index, item=opened)
        self.add("response.content_part.added", **place, part={**part, "text": ""})
        self._deltas("response.output_text", part["text"], {**place, "logprobs": []})
        self.add("response.output_text.done", **place, text=part["text"], logprobs=[])
        self.add("response.content_part.done", **place, part=part)
        self.add("response.output_item.done", output_index=index, item=item)

    def call(self, index: int, item: dict[str, Any], field: str, kind: str) -> None:
        opened = {**item, "status": "in_progress", field: ""}
        place = {"item_id": item["id"], "output_index": index}
        self.add("response.output_item.added", output_index=index, item=opened)
        self._deltas(kind, item[field], place)
        self.add(f"{kind}.done", **place, **{field: item[field]})
        self.add("response.output_item.done", output_index=index, item=item)


def _output(reply: Reply, ids: IdMint) -> list[dict[str, Any]]:
    turn, status = reply.turn, "incomplete" if reply.turn.is_cut_short else "completed"
    items: list[dict[str, Any]] = []
    if turn.thinking:
        asked = (reply.body.get("reasoning") or {}).get("summary")
        summary = [{"type": "summary_text", "text": turn.thinking}] if asked else []
        reasoning = {"id": ids.hex("rs_", 50), "type": "reasoning", "summary": summary}
        if "reasoning.encrypted_content" in (reply.body.get("include") or []):
            reasoning["encrypted_content"] = "gAAAAAB" + hashlib.sha512(turn.thinking.encode()).hexdigest()
        items.append(reasoning)
    if turn.text:
        part = {"type": "output_text", "annotations": [], "logprobs": [], "text": turn.text}
        message = {"id": ids.hex("msg_", 50), "type": "message", "status": status, "content": [part]}
        items.append(message | {"role": "assistant"})
    return [*items, *(_call_item(call, ids) for call in turn.calls)]


def _call_item(call: ToolCall, ids: IdMint) -> dict[str, Any]:
    if call.is_freeform:
        item = {"id": ids.hex("ctc_", 50), "type": "custom_tool_call", "status": "completed", "input": call.arguments}
    else:
        item = {"id": ids.hex("fc_", 50), "type": "function_call", "status": "completed", "arguments": call.arguments}
    item |= {"call_id": call.id, "name": call.name}
    return item if call.namespace is None else item | {"namespace": call.namespace}


def _keep(reply: Reply, items: list[dict[str, Any]], kept: Conversations) -> None:
    if reply.body.get("store") is not False:
        kept.keep(reply.id, {"items": [*_all_input(reply.body, kept), *items]})


def _finished(reply: Reply, items: list[dict[str, Any]]) -> dict[str, Any]:
    is_cut = reply.turn.is_cut_short
    end = {
        "status": "incomplete" if is_cut else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None,
        "output": items,
        "usage": None if reply.is_usage_hidden else usage(reply),
    }
    return _response(reply) | end


def _response(reply: Reply) -> dict[str, Any]:
    """The fields every response object repeats from its request."""
    body = reply.body
    reasoning = body.get("reasoning") or {}
    return {
        "id": reply.id,
        "object": "response",
        "created_at": reply.created_s,
        "status": "completed",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "max_tool_calls": None,
        "model": dated(reply.prompt.model),
        "output": [],
        "parallel_tool_calls": body.get("parallel_tool_calls", True),
        "previous_response_id": body.get("previous_response_id"),
        "prompt_cache_key": body.get("prompt_cache_key"),
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
        "safety_identifier": None,
        "service_tier": "default",
        "store": body.get("store") is not False,
        "temperature": body.get("temperature", 1.0),
        "text": body.get("text") or {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": body.get("tool_choice", "auto"),
        "tools": body.get("tools") or [],
        "top_logprobs": 0,
        "top_p": body.get("top_p", 1.0),
        "truncation": "disabled",
        "usage": None,
        "user": None,
        "metadata": body.get("metadata") or {},
    }


def error_event() -> bytes:
    said = {"type": "error", "sequence_number": 3, "code": "server_error", "param": None}
    return sse(said | {"message": "The server had an error while processing your request."}, "error")
