"""[pure] A session as OpenAI's fine-tuning format: one line for each thread, `messages` from the first words to the
last answer.

In: a session's events. Out: JSON lines. Told from what was new in each exchange, so it is the same whatever the
dialect: user texts, answers with their tool calls, results. Exchanges that failed are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from lunaroute.events import Event
from lunaroute.events.types import RequestRecorded, ResponseRecorded, ToolCallRecorded

_Message = dict[str, Any]


def finetune_lines(events: Iterable[Event]) -> Iterator[bytes]:
    threads: dict[str | None, list[_Message]] = {}
    asked: dict[str, tuple[str | None, list[_Message]]] = {}
    results: dict[str, list[_Message]] = {}
    for event in events:
        match event:
            case ToolCallRecorded():
                results.setdefault(event.request_id, []).append(
                    {"role": "tool", "tool_call_id": event.tool_call_id, "content": event.output_text}
                )
            case RequestRecorded():
                said = [{"role": "user", "content": event.request_text}] if event.request_text else []
                asked[event.request_id] = (event.thread_id, results.pop(event.request_id, []) + said)
            case ResponseRecorded() if event.success and event.request_id in asked:
                thread_id, new = asked.pop(event.request_id)
                threads.setdefault(thread_id, []).extend([*new, _answer(event)])
            case _:
                pass
    for messages in threads.values():
        if any(message["role"] == "user" for message in messages):
            yield msgspec.json.encode({"messages": messages}) + b"\n"


def _answer(event: ResponseRecorded) -> _Message:
    message: _Message = {"role": "assistant", "content": event.response_text or None}
    calls = [
        {"id": call.tool_call_id, "type": "function", "function": {"name": call.tool_name, "arguments": call.arguments}}
        for call in event.stats.tool_calls
    ]
    return {**message, "tool_calls": calls} if calls else message
