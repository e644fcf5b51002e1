"""The Anthropic Messages dialect: body → prompt, reply → body or event stream, errors, headers.

Event order and fields are those of recorded provider streams: `message_start`, then per block start, deltas
and stop (a `ping` after the first start), `message_delta` with the final usage, `message_stop`.
"""

from __future__ import annotations

import hashlib
import time
from typing import Any

import msgspec

from lunaroute.simulator.dialect import Conversations, part_of, sse, text_of
from lunaroute.simulator.ids import IdMint
from lunaroute.simulator.pace import first_gap_ms, gap_ms, pieces
from lunaroute.simulator.turn import DialectName, Prompt, Reply, RequestRefusedError, Step, Tool

NAME: DialectName = "anthropic_messages"

_ERROR_TYPES = {
    400: ("invalid_request_error", "messages: at least one message is required"),
    401: ("authentication_error", "invalid x-api-key"),
    403: ("permission_error", "Your API key does not have permission to use the specified resource."),
    404: ("not_found_error", "Not Found"),
    413: ("request_too_large", "Request exceeds the maximum size"),
    429: ("rate_limit_error", "This request would exceed your organization's rate limit."),
    500: ("api_error", "Internal server error"),
    529: ("overloaded_error", "Overloaded"),
}


def read_prompt(body: dict[str, Any], kept: Conversations) -> Prompt:
    body = _continued(body, kept)
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise RequestRefusedError(400, "messages: at least one message is required")
    choice = body.get("tool_choice") or {}
    tools = [] if choice.get("type") == "none" else body.get("tools") or []
    parts = [part_of(body[name]) for name in ("tools", "system") if body.get(name)]
    parts += [part_of(message) for message in messages]
    if body.get("cache_control"):  # automatic caching: the marker is understood to sit on the last block
        parts[-1] = msgspec.structs.replace(parts[-1], is_marked=True)
    user_text, rounds, last_result = _position(messages)
    return Prompt(
        model=str(body.get("model")),
        is_stream=bool(body.get("stream")),
        user_text=user_text,
        round_count=rounds,
        last_result=last_result,
        tools=tuple(Tool(name=t["name"], schema=t.get("input_schema") or {}) for t in tools if "name" in t),
        forced_tool=choice.get("name"),
        is_thinking=(body.get("thinking") or {}).get("type") in ("enabled", "adaptive"),
        max_output_tokens=body.get("max_tokens"),
        parts=tuple(parts),
        is_auto_cached=False,
    )


def _continued(body: dict[str, Any], kept: Conversations) -> dict[str, Any]:
    """The body with the server-held thread it continues put back in front."""
    previous_id = (body.get("thread") or {}).get("previous_message_id")
    if previous_id is None:
        return body
    earlier = kept.find(previous_id)
    if earlier is None:
        raise RequestRefusedError(404, f"thread of {previous_id} not found")
    return {**earlier, **body, "messages": [*earlier["messages"], *body.get("messages", [])]}


def _position(messages: list[dict[str, Any]]) -> tuple[str, int, str]:
    """(newest user text, rounds of tool calls since, newest tool results)."""
    rounds, last_result = 0, ""
    for message in reversed(messages):
        blocks = message.get("content")
        kinds = {b.get("type") for b in blocks} if isinstance(blocks, list) else set()
        if message.get("role") == "assistant":
            rounds += "tool_use" in kinds
        elif "tool_result" in kinds and isinstance(blocks, list):
            results = (text_of(b.get("content")) for b in blocks if b.get("type") == "tool_result")
            last_result = last_result or "\n".join(results)
        elif message.get("role") == "user":
            return text_of(blocks), rounds, last_result
    return "", rounds, last_result


def mint_id(ids: IdMint) -> str:
    return ids.text("msg_01", 22)


def mint_call_id(ids: IdMint, model: str) -> str:
    return ids.text("toolu_01", 22)


def mint_request_id(ids: IdMint) -> str:
    return ids.text("req_011C", 20)


def usage(reply: Reply) -> dict[str, Any]:
    tokens = reply.tokens
    one_hour = tokens.cache_write_tokens if tokens.is_one_hour else 0
    found: dict[str, Any] = {
        "input_tokens": tokens.input_tokens - tokens.cache_read_tokens - tokens.cache_write_tokens,
        "cache_creation_input_tokens": tokens.cache_write_tokens,
        "cache_read_input_tokens": tokens.cache_read_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": tokens.cache_write_tokens - one_hour,
            "ephemeral_1h_input_tokens": one_hour,
        },
        "output_tokens": tokens.output_tokens,
    }
    if not reply.is_thinking_usage_hidden:
        found["output_tokens_details"] = {"thinking_tokens": tokens.thinking_tokens}
    return found | {"service_tier": "standard", "inference_geo": "global"}


def whole(reply: Reply, ids: IdMint, kept: Conversations) -> dict[str, Any]:
    content = _blocks(reply)
    _keep(reply, content, kept)
    message = _message(reply) | {"content": content, "stop_reason": _stop_reason(reply)}
    return message if reply.is_usage_hidden else message | {"usage": usage(reply)}


def stream(reply: Reply, ids: IdMint, kept: Conversations) -> list[Step]:
    content = _blocks(reply)
    _keep(reply, content, kept)
    start = _message(reply)
    end: dict[str, Any] = {
        "type": "message_delta",
        "delta": {"stop_reason": _stop_reason(reply), "stop_sequence": None},
    }
    if not reply.is_usage_hidden:
        totals = usage(reply)
        # Thinking tokens are only ever told at the end; the first output count is a stub.
        at_start = {k: v for k, v in totals.items() if k != "output_tokens_details"}
        start["usage"] = at_start | {"output_tokens": min(3, totals["output_tokens"])}
        at_end = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")
        end["usage"] = {k: v for k, v in totals.items() if k in (*at_end, "output_tokens_details")}
    steps = [_step({"type": "message_start", "message": start}, first_gap_ms(reply.id))]
    for index, block in enumerate(content):
        steps += _block_steps(index, block)
    return [*steps, _step(end, 4.0), _step({"type": "message_stop"})]


def _block_steps(index: int, block: dict[str, Any]) -> list[Step]:
    """Start, deltas and stop of one content block."""
    kind = block["type"]
    deltas: list[dict[str, Any]] = []
    if kind == "tool_use":
        empty = {**block, "input": {}}
        arguments = msgspec.json.encode(block["input"]).decode()
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ["", *pieces(arguments)]]
    else:
        empty = {**block, kind: ""} | ({"signature": ""} if kind == "thinking" else {})
        deltas = [{"type": f"{kind}_delta", kind: piece} for piece in pieces(block[kind])]
        if kind == "thinking":
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
    steps = [_step({"type": "content_block_start", "index": index, "content_block": empty})]
    if index == 0:
        steps.append(_step({"type": "ping"}))
    for delta in deltas:
        event = {"type": "content_block_delta", "index": index, "delta": delta}
        steps.append(_step(event, gap_ms(str(delta))))
    return [*steps, _step({"type": "content_block_stop", "index": index})]


def _message(reply: Reply) -> dict[str, Any]:
    """A message with nothing said yet."""
    return {
        "model": reply.prompt.model,
        "id": reply.id,
        "type": "message",
        "role": "assistant",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _blocks(reply: Reply) -> list[dict[str, Any]]:
    turn, blocks = reply.turn, []
    if turn.thinking:
        signature = hashlib.sha512((reply.id + turn.thinking).encode()).hexdigest()
        blocks.append({"type": "thinking", "thinking": turn.thinking, "signature": f"Eq{signature}=="})
    if turn.text:
        blocks.append({"type": "text", "text": turn.text})
    for call in turn.calls:
        arguments = msgspec.json.decode(call.arguments)
        blocks.append({"type": "tool_use", "id": call.id, "name": call.name, "input": arguments})
    return blocks


def _keep(reply: Reply, content: list[dict[str, Any]], kept: Conversations) -> None:
    if reply.body.get("thread"):
        body = _continued(reply.body, kept)
        answer = {"role": "assistant", "content": content}
        kept.keep(reply.id, {**body, "thread": None, "messages": [*body["messages"], answer]})


def _stop_reason(reply: Reply) -> str:
    if reply.turn.is_cut_short:
        return "max_tokens"
    return "tool_use" if reply.turn.calls else "end_turn"


def error(status: int, message: str | None, code: str | None, request_id: str) -> dict[str, Any]:
    kind, default = _ERROR_TYPES.get(
        status, ("invalid_request_error" if status < 500 else "api_error", f"Simulated {status}")
    )
    said = {"type": kind, "message": message or default}
    return {"type": "error", "error": said, "request_id": request_id}


def stream_type(body: dict[str, Any]) -> str:
    return "text/event-stream; charset=utf-8"


def error_event() -> bytes:
    said = {"type": "overloaded_error", "message": "Overloaded"}
    return sse({"type": "error", "error": said}, "error")


def headers(request_id: str, processing_ms: int, count: int) -> list[tuple[str, str]]:
    reset = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
    limits = []
    for kind, limit, cost in (("requests", 4000, 1), ("input-tokens", 2_000_000, 900), ("output-tokens", 400_000, 90)):
        remaining = max(0, limit - count * cost % limit)
        limits += [
            (f"anthropic-ratelimit-{kind}-limit", str(limit)),
            (f"anthropic-ratelimit-{kind}-remaining", str(remaining)),
            (f"anthropic-ratelimit-{kind}-reset", reset),
        ]
    return [
        ("request-id", request_id),
        *limits,
        ("anthropic-organization-id", "00000000-0000-4000-8000-000000000000"),
        ("x-envoy-upstream-service-time", str(processing_ms)),
    ]


def _step(event: dict[str, Any], delay_ms: float = 0.0) -> Step:
    return Step(data=sse(event, event["type"]), delay_ms=delay_ms)
