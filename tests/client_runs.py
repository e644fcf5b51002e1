"""Captured runs of real clients (corpus/clients) as exchanges, in the order and at the times in which they happened.

The capture has each request as sent and what the mock provider answered, as the message it amounts to; here that is
put on the wire again: whole, as a stream, or cut where the mock cut it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from lunaroute.assemble.exchange import Assembled
from lunaroute.capture.records import HeaderList, Outcome
from tests.anthropic_events import anthropic_events, pieces
from tests.corpus import corpus_dir
from tests.exchanges import EVENT_STREAM, JSON, ExchangeScript

SESSION_HEADERS = frozenset(
    {
        "conversation_id",
        "session-id",
        "session_id",
        "thread-id",
        "x-claude-code-agent-id",
        "x-claude-code-session-id",
        "x-codex-parent-thread-id",
        "x-codex-turn-metadata",
        "x-codex-turn-state",
        "x-codex-window-id",
        "x-parent-session-id",
        "x-session-affinity",
        "x-session-id",
    }
)
BODY_IDS = ("metadata", "prompt_cache_key", "client_metadata")


class Capture:
    """One captured request and its answer."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.client: str = fields["client"]
        self.run: str = f"{fields['client']}/{fields['run']}"
        self.seq: int = fields["seq"]
        self.path: str = fields["path"]
        self.method: str = fields["method"]
        self.at_ms: int = round(fields["ts"] * 1000)
        self.headers: list[tuple[str, str]] = [(name, value) for name, value in fields["headers"]]
        self.body: Any = fields["body"]
        self.answer: dict[str, Any] = fields["response"]

    @property
    def messages(self) -> list[dict[str, Any]]:
        given = self.body.get("messages") or self.body.get("input") or self.body.get("contents") or []
        return [{"role": "user", "content": given}] if isinstance(given, str) else given

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name), None)

    @property
    def opening(self) -> str:
        """The user's first words, without what the client puts before them."""
        for message in self.messages:
            if message.get("role") == "user":
                blocks = message.get("content") or message.get("parts")
                texts = [blocks] if isinstance(blocks, str) else [one.get("text", "") for one in blocks or []]
                own = [text.strip() for text in texts if not text.lstrip().startswith(_INSERTED)]
                if own:
                    return own[0]
        return ""

    @property
    def failed(self) -> bool:
        fault = self.answer.get("fault") or {}
        is_late = self.run.endswith("/timeout")  # the client gave up after a second
        return self.answer["status"] >= 400 or any(k in fault for k in ("cut", "eof", "drop", "sseerr")) or is_late

    @property
    def wire(self) -> str:
        if "/messages" in self.path:
            return "anthropic"
        if "/chat/completions" in self.path:
            return "chat"
        return "gemini" if "generateContent" in self.path or "GenerateContent" in self.path else "responses"


@cache
def captures() -> list[Capture]:
    """Every HTTP request that asks a model, in the order of their times."""
    paths = sorted((corpus_dir() / "clients").glob("*/*/*.json"))
    read = (json.loads(path.read_bytes()) for path in paths)
    found = [Capture(fields) for fields in read if fields["method"] == "POST" and isinstance(fields["body"], dict)]
    asked = [one for one in found if one.path.partition("?")[0].endswith(_ASKING)]
    for one in asked:
        if one.answer["status"] == 200 and one.answer.get("output") is None and not one.failed:
            one.answer = one.answer | {"output": _repeated_output(one, asked)}
    return sorted(asked, key=lambda one: (one.at_ms, one.run, one.seq))


def _repeated_output(capture: Capture, others: list[Capture]) -> dict[str, Any]:
    """Where the mock did not note its answer: as the next request of the run repeats it, else its usual last words."""
    count = len(capture.messages)
    items: list[dict[str, Any]] = []
    for other in others:
        if other.run == capture.run and other.seq > capture.seq and other.opening == capture.opening:
            rest = iter(other.messages[count:])
            while (item := next(rest, {"role": "user"})) and _is_answer(item):
                items.append(item)
            break
    if capture.wire == "responses":
        return {"id": f"resp_{capture.run}_{capture.seq}", "output": items or [_LAST_WORDS]}
    content = items[0]["content"] if items else [{"type": "text", "text": "Done."}]
    return {"id": f"msg_{capture.run}_{capture.seq}", "content": content, "stop_reason": "end_turn"}


_LAST_WORDS = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Done."}]}


def _is_answer(item: dict[str, Any]) -> bool:
    kind = item.get("type", "message")
    return item.get("role") == "assistant" or kind == "reasoning" or kind.endswith("_call")


_INSERTED = ("<system-reminder>", "<environment_context>", "<user_instructions>", "<local-command", "<command-name>")
_ASKING = ("/messages", "/chat/completions", "/responses", ":streamGenerateContent", ":generateContent")
_PROVIDERS = {"anthropic": "anthropic", "chat": "openai", "responses": "openai", "gemini": "google"}


def traffic(*, without_headers: bool = False, without_body_ids: bool = False) -> list[tuple[str, Assembled]]:
    """What the assembler would give out, in the order of time; each with the request id it is about.

    Without the clients' session headers, or also without the ids that they put into bodies."""
    start_ms = captures()[0].at_ms
    timeline: list[tuple[int, int, str, Assembled]] = []
    for number, capture in enumerate(captures()):
        script = _script(number, capture, capture.at_ms - start_ms, without_headers, without_body_ids)
        exchange = script.exchange
        assert exchange.closed is not None
        opened_ns, closed_ns = exchange.opened.t_ns, exchange.closed.t_ns
        timeline.append((opened_ns, number, exchange.request_id, script.received))
        timeline.append((closed_ns, number, exchange.request_id, script.ended))
    return [(request_id, item) for _, _, request_id, item in sorted(timeline, key=lambda one: one[:2])]


def _script(
    number: int, capture: Capture, opened_ms: int, without_headers: bool, without_body_ids: bool
) -> ExchangeScript:
    body = dict(capture.body)
    if without_body_ids:
        for name in BODY_IDS:
            body.pop(name, None)
    dropped = {"content-encoding", *(SESSION_HEADERS if without_headers else ())}
    headers: HeaderList = [
        (name.encode("latin-1"), value.encode("latin-1"))
        for name, value in capture.headers
        if name.lower() not in dropped
    ]
    script = ExchangeScript(
        number,
        body=json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode(),
        headers=headers,
        path=capture.path,
        provider=_PROVIDERS[capture.wire],
        opened_ms=opened_ms,
        sent_ms=opened_ms,
    )
    _answer(script, capture, opened_ms)
    return script


def _answer(script: ExchangeScript, capture: Capture, opened_ms: int) -> None:
    answer, fault = capture.answer, capture.answer.get("fault") or {}
    took_ms = max(4, round((answer.get("dur") or 0) * 1000) - 1)
    ended_ms = opened_ms + took_ms
    outcome: Outcome = "completed"
    if capture.run.endswith("/timeout"):
        outcome, ended_ms = "client_cancelled", opened_ms + 1000
    elif "drop" in fault:
        outcome = "upstream_cut"
    elif answer["status"] >= 400 or answer.get("output") is None:
        more = [(name.encode(), str(value).encode()) for name, value in (fault.get("headers") or {}).items()]
        script.answer(answer["status"], at_ms=ended_ms - 2, headers=[*JSON, *more])
        script.chunk(b'{"type":"error","error":{"type":"api_error","message":"mock"}}', at_ms=ended_ms - 1)
    elif capture.body.get("stream") or "stream" in capture.path:
        script.answer(200, at_ms=opened_ms + 1, headers=EVENT_STREAM)
        events = list(_EVENTS[capture.wire](answer["output"]))
        broken_at = next((fault[name] for name in ("cut", "eof", "sseerr") if name in fault), None)
        for event in events[: len(events) if broken_at is None else min(broken_at, len(events) - 1)]:
            script.chunk(event, at_ms=ended_ms - 1)
        if "sseerr" in fault:
            script.chunk(_event("error", {"type": "error", "error": {"type": "overloaded_error"}}), at_ms=ended_ms - 1)
        outcome = "upstream_cut" if "cut" in fault else "completed"
    else:
        script.answer(200, at_ms=ended_ms - 2)
        script.chunk(json.dumps(_whole(capture.wire, answer["output"])).encode(), at_ms=ended_ms - 1)
    script.close(at_ms=ended_ms, outcome=outcome)


def _whole(wire: str, output: dict[str, Any]) -> dict[str, Any]:
    if wire == "anthropic":
        return {"type": "message", "role": "assistant", "model": "mock", **output}
    if wire == "chat":
        message = output["message"]
        reason = "tool_calls" if message.get("tool_calls") else "stop"
        return {"id": output["id"], "choices": [{"index": 0, "message": message, "finish_reason": reason}]}
    if wire == "gemini":
        return {"candidates": [{"content": output["content"], "finishReason": "STOP"}]}
    return {"object": "response", "status": "completed", "model": "mock", **output}


def _event(name: str | None, data: dict[str, Any]) -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def _anthropic_events(output: dict[str, Any]) -> Iterator[bytes]:
    return anthropic_events(_whole("anthropic", output) | {"usage": {"output_tokens": 5}})


def _chat_events(output: dict[str, Any]) -> Iterator[bytes]:
    message = output["message"]

    def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return _event(None, {"id": output["id"], "object": "chat.completion.chunk", "choices": [choice]})

    yield chunk({"role": "assistant", "content": ""})
    for index, call in enumerate(message.get("tool_calls") or []):
        head = {"index": index, "id": call["id"], "type": "function", "function": {"name": call["function"]["name"]}}
        yield chunk({"tool_calls": [head]})
        yield chunk({"tool_calls": [{"index": index, "function": {"arguments": call["function"]["arguments"]}}]})
    for piece in pieces(message["content"] or ""):
        yield chunk({"content": piece})
    yield chunk({}, "tool_calls" if message.get("tool_calls") else "stop")
    yield b"data: [DONE]\n\n"


def _responses_events(output: dict[str, Any]) -> Iterator[bytes]:
    whole = _whole("responses", output)
    yield _event("response.created", {"type": "response.created", "response": whole | {"output": [], "status": "new"}})
    for index, item in enumerate(output["output"]):
        for kind in ("added", "done"):
            name = f"response.output_item.{kind}"
            yield _event(name, {"type": name, "output_index": index, "item": item})
    yield _event("response.completed", {"type": "response.completed", "response": whole})


def _gemini_events(output: dict[str, Any]) -> Iterator[bytes]:
    parts = output["content"]["parts"]
    for index, part in enumerate(parts):
        candidate: dict[str, Any] = {"content": {"role": "model", "parts": [part]}, "index": 0}
        if index == len(parts) - 1:
            candidate["finishReason"] = "STOP"
        yield _event(None, {"candidates": [candidate]})


_EVENTS = {
    "anthropic": _anthropic_events,
    "chat": _chat_events,
    "responses": _responses_events,
    "gemini": _gemini_events,
}
