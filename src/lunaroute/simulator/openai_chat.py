"""The OpenAI Chat Completions dialect: body → prompt, reply → body or chunks, errors, headers.

Chunks are ordered as the provider sends them: the role, text, tool calls, the finish reason, with
`stream_options.include_usage` a last chunk without choices (and `usage: null` in all before), `[DONE]`.
"""

from __future__ import annotations

from typing import Any

from lunaroute.simulator import openai_common
from lunaroute.simulator.dialect import Conversations, part_of, sse, text_of
from lunaroute.simulator.ids import IdMint
from lunaroute.simulator.openai_common import dated, is_reasoning, obfuscation
from lunaroute.simulator.pace import first_gap_ms, gap_ms, pieces
from lunaroute.simulator.turn import DialectName, Prompt, Reply, RequestRefusedError, Step, Tool, ToolCall

NAME: DialectName = "openai_chat"

error = openai_common.error
headers = openai_common.headers
mint_request_id = openai_common.mint_request_id
stream_type = openai_common.stream_type


def read_prompt(body: dict[str, Any], kept: Conversations) -> Prompt:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise RequestRefusedError(400, "Missing required parameter: 'messages'.", "missing_required_parameter")
    choice = body.get("tool_choice")
    functions = [] if choice == "none" else [t["function"] for t in body.get("tools") or [] if "function" in t]
    user_text, rounds, last_result = _position(messages)
    model = str(body.get("model"))
    return Prompt(
        model=model,
        is_stream=bool(body.get("stream")),
        user_text=user_text,
        round_count=rounds,
        last_result=last_result,
        tools=tuple(Tool(name=f["name"], schema=f.get("parameters") or {}) for f in functions),
        forced_tool=choice["function"]["name"] if isinstance(choice, dict) and "function" in choice else None,
        is_thinking=is_reasoning(model) or bool(body.get("reasoning_effort")),
        max_output_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
        parts=tuple(part_of(part) for part in [body.get("tools"), *messages] if part),
        is_auto_cached=True,
    )


def _position(messages: list[dict[str, Any]]) -> tuple[str, int, str]:
    """(newest user text, rounds of tool calls since, newest tool results)."""
    rounds, results = 0, []
    for message in reversed(messages):
        role = message.get("role")
        if role == "assistant":
            rounds += bool(message.get("tool_calls"))
        elif role == "tool" and rounds == 0:
            results.append(text_of(message.get("content")))
        elif role == "user":
            return text_of(message.get("content")), rounds, "\n".join(reversed(results))
    return "", rounds, "\n".join(reversed(results))


def mint_id(ids: IdMint) -> str:
    return ids.text("chatcmpl-", 29)


def mint_call_id(ids: IdMint, model: str) -> str:
    return ids.text("call_", 24)


def usage(reply: Reply) -> dict[str, Any]:
    tokens = reply.tokens
    return {
        "prompt_tokens": tokens.input_tokens,
        "completion_tokens": tokens.output_tokens,
        "total_tokens": tokens.input_tokens + tokens.output_tokens,
        "prompt_tokens_details": {"cached_tokens": tokens.cache_read_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": tokens.thinking_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def whole(reply: Reply, ids: IdMint, kept: Conversations) -> dict[str, Any]:
    turn = reply.turn
    message: dict[str, Any] = {"role": "assistant", "content": turn.text or None}
    if turn.calls:
        message["tool_calls"] = [_call(call) for call in turn.calls]
    message |= {"refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish_reason(reply)}
    body = _frame(reply, "chat.completion") | {"choices": [choice]}
    if not reply.is_usage_hidden:
        body["usage"] = usage(reply)
    return body | {"service_tier": "default", "system_fingerprint": None}


def stream(reply: Reply, ids: IdMint, kept: Conversations) -> list[Step]:
    turn, chunks = reply.turn, _Chunks(reply)
    first = {"role": "assistant", "content": "" if turn.text else None, "refusal": None}
    # Reasoning is not shown in this dialect; it is time that passes before the first chunk.
    hidden_ms = sum(gap_ms(piece) for piece in pieces(turn.thinking))
    steps = [chunks.delta(first, first_gap_ms(reply.id) + hidden_ms)]
    for piece in pieces(turn.text):
        steps.append(chunks.delta({"content": piece}, gap_ms(piece), piece))
    for index, call in enumerate(turn.calls):
        opening = {"index": index, **_call(call)}
        opening["function"] = {"name": call.name, "arguments": ""}
        steps.append(chunks.delta({"tool_calls": [opening]}, gap_ms(call.id)))
        for piece in pieces(call.arguments):
            delta = {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
            steps.append(chunks.delta(delta, gap_ms(piece), piece))
    steps.append(chunks.delta({}, 4.0, finish_reason=_finish_reason(reply)))
    if chunks.is_usage_included:
        steps.append(chunks.usage())
    return [*steps, Step(data=b"data: [DONE]\n\n")]


class _Chunks:
    """Writes the chunks of one stream."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._options: dict[str, Any] = reply.body.get("stream_options") or {}
        self.is_usage_included = bool(self._options.get("include_usage")) and not reply.is_usage_hidden
        self._count = 0

    def delta(self, delta: dict[str, Any], delay_ms: float, piece: str = "", finish_reason: str | None = None) -> Step:
        self._count += 1
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        chunk = self._frame() | {"choices": [choice]}
        if self.is_usage_included:
            chunk["usage"] = None
        chunk |= obfuscation(self._reply.prompt, self._options, piece, self._count)
        return Step(data=sse(chunk), delay_ms=delay_ms)

    def usage(self) -> Step:
        return Step(data=sse(self._frame() | {"choices": [], "usage": usage(self._reply)}))

    def _frame(self) -> dict[str, Any]:
        frame = _frame(self._reply, "chat.completion.chunk")
        return frame | {"service_tier": "default", "system_fingerprint": None}


def _frame(reply: Reply, kind: str) -> dict[str, Any]:
    return {"id": reply.id, "object": kind, "created": reply.created_s, "model": dated(reply.prompt.model)}


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _finish_reason(reply: Reply) -> str:
    if reply.turn.is_cut_short:
        return "length"
    return "tool_calls" if reply.turn.calls else "stop"


def error_event() -> bytes:
    return sse(error(500, None, None, ""))
