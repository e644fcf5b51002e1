"""Agents on the official Anthropic SDK: streamed with thinking and tools, or not streamed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from anthropic import AsyncAnthropic, DefaultAsyncHttpxClient

from lunaroute.demo.run import AgentRun, AgentSummary
from lunaroute.demo.workspace import FOLLOW_UP, INSTRUCTIONS, TASK, TOOLS, Workspace

_CACHED = {"type": "ephemeral"}


async def work(
    run: AgentRun, base_url: str, workspace: Workspace, *, is_streamed: bool, simulate_first: str | None = None
) -> AgentSummary:
    """One session: the task with as many tool rounds as the model wants, then a follow-up question.

    `simulate_first` is what the first request asks of a simulated provider (see `simulator.directives`).
    """
    hooks: dict[str, list[Callable[..., Any]]] = {"request": [run.on_request], "response": [run.on_response]}
    async with AsyncAnthropic(
        api_key="demo",
        base_url=base_url,
        default_headers={"x-session-tag": run.name},
        http_client=DefaultAsyncHttpxClient(event_hooks=hooks),
    ) as client:
        messages: list[dict[str, Any]] = []
        headers = {"x-simulate": simulate_first} if simulate_first else {}
        for question, tool_choice in ((TASK, "auto"), (FOLLOW_UP, "none")):
            messages.append({"role": "user", "content": question})
            while True:
                request = _request(run.model, messages, tool_choice, is_streamed) | {"extra_headers": headers}
                answer = await _ask(client, request, is_streamed)
                headers = {}
                _count(run, answer)
                messages.append({"role": "assistant", "content": answer.content})
                calls = [block for block in answer.content if block.type == "tool_use"]
                if not calls:
                    break
                results = await asyncio.gather(*(_result(run, workspace, call) for call in calls))
                messages.append({"role": "user", "content": results})
    return run.summary()


def _request(model: str, messages: list[dict[str, Any]], tool_choice: str, is_streamed: bool) -> dict[str, Any]:
    """The arguments of a call; the newest message carries the cache marker, as agents do it."""
    *earlier, last = messages
    content = last["content"]
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    marked = {**last, "content": [*blocks[:-1], {**blocks[-1], "cache_control": _CACHED}]}
    request: dict[str, Any] = {
        "model": model,
        "max_tokens": 8000,
        "system": [{"type": "text", "text": INSTRUCTIONS, "cache_control": _CACHED}],
        "tools": [{"name": t.name, "description": t.description, "input_schema": t.parameters} for t in TOOLS],
        "tool_choice": {"type": tool_choice},
        "messages": [*earlier, marked],
    }
    if is_streamed:
        request["thinking"] = {"type": "enabled", "budget_tokens": 4000}
    return request


async def _ask(client: AsyncAnthropic, request: dict[str, Any], is_streamed: bool) -> Any:
    if not is_streamed:
        return await client.messages.create(**request)
    async with client.messages.stream(**request) as stream:
        return await stream.get_final_message()


def _count(run: AgentRun, answer: Any) -> None:
    usage = answer.usage
    read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    details = usage.output_tokens_details
    run.used(
        input_tokens=usage.input_tokens + read + written,
        output_tokens=usage.output_tokens,
        thinking_tokens=details.thinking_tokens if details else 0,
        cache_read_tokens=read,
        cache_creation_tokens=written,
    )
    run.answer = "".join(block.text for block in answer.content if block.type == "text") or run.answer


async def _result(run: AgentRun, workspace: Workspace, call: Any) -> dict[str, Any]:
    run.doing(f"running {call.name}")
    run.tool_call_count += 1
    output = await workspace.run_tool(call.name, call.input)
    return {"type": "tool_result", "tool_use_id": call.id, "content": output}
