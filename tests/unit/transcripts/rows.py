"""Rows of clients' own transcripts, as they write them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

TEN_OCLOCK = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
SESSION = "0e9c1d2a-6b7f-4c3d-8e21-5f60718293a4"


def at(seconds: float) -> str:
    moment = TEN_OCLOCK + timedelta(seconds=seconds)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def lines(*rows: Mapping[str, Any] | bytes) -> list[bytes]:
    return [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]


# ---- Claude Code


def user(seconds: float, content: Any, **more: Any) -> dict[str, Any]:
    return _row(seconds, "user", {"role": "user", "content": content}, more)


def result(seconds: float, call_id: str, text: str, *, is_error: bool = False, **more: Any) -> dict[str, Any]:
    block = {"tool_use_id": call_id, "type": "tool_result", "content": text, "is_error": is_error}
    return user(seconds, [block], **more)


def block(
    seconds: float,
    message_id: str,
    content: Mapping[str, Any],
    *,
    output: int = 1,
    stop_reason: str | None = None,
    model: str = "claude-opus-4-5-20251101",
    **more: Any,
) -> dict[str, Any]:
    """One block of an answer, with the usage that every block repeats."""
    usage = {
        "input_tokens": 10,
        "cache_creation_input_tokens": 400,
        "cache_read_input_tokens": 90,
        "cache_creation": {"ephemeral_5m_input_tokens": 400, "ephemeral_1h_input_tokens": 0},
        "output_tokens": output,
        "service_tier": "standard",
    }
    message = {
        "model": model,
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "content": [dict(content)],
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": usage,
    }
    return _row(seconds, "assistant", message, {"requestId": f"req_{message_id}", **more})


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def tool_use(call_id: str, name: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments}


def _row(seconds: float, kind: str, message: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "parentUuid": None,
        "isSidechain": False,
        "userType": "external",
        "cwd": "/home/ada/notes",
        "sessionId": SESSION,
        "version": "2.1.5",
        "gitBranch": "main",
        "type": kind,
        "message": message,
        "uuid": f"{kind}-{seconds}",
        "timestamp": at(seconds),
        **more,
    }


# ---- Codex


def rollout(seconds: float, kind: str, **payload: Any) -> dict[str, Any]:
    return {"timestamp": at(seconds), "type": kind, "payload": payload}


def meta(seconds: float = 0, **more: Any) -> dict[str, Any]:
    return rollout(
        seconds, "session_meta", id=SESSION, timestamp=at(seconds), cwd="/home/ada/notes", cli_version="0.65.0", **more
    )


def item(seconds: float, **payload: Any) -> dict[str, Any]:
    return rollout(seconds, "response_item", **payload)


def said(seconds: float, role: str, words: str) -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return item(seconds, type="message", role=role, content=[{"type": kind, "text": words}])


def shell_call(seconds: float, call_id: str) -> dict[str, Any]:
    return item(seconds, type="function_call", name="exec_command", arguments='{"cmd":"ls"}', call_id=call_id)


def shell_output(seconds: float, call_id: str) -> dict[str, Any]:
    return item(
        seconds,
        type="function_call_output",
        call_id=call_id,
        output="Wall time: 0.1 seconds\nProcess exited with code 0\nOutput:\nnotes.txt\n",
    )


def counts(seconds: float, *responses: Sequence[int]) -> dict[str, Any]:
    """A `token_count` event after (input, cached, output, reasoning) of each response so far."""
    total = [sum(one) for one in zip(*responses, strict=True)]
    info = {"total_token_usage": _usage(total), "last_token_usage": _usage(responses[-1])}
    return rollout(seconds, "event_msg", type="token_count", info=info, rate_limits=None)


def record(seconds: float, response_id: str, *usage: int) -> dict[str, Any]:
    return rollout(seconds, "token_usage_record", thread_id=SESSION, response_id=response_id, usage=_usage(usage))


def _usage(counts: Sequence[int]) -> dict[str, int]:
    names = ("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_output_tokens")
    return dict(zip(names, counts, strict=True)) | {"total_tokens": counts[0] + counts[2]}
