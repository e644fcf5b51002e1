"""Agents on the official OpenAI SDK: chat completions, and responses chained by id or with their full input."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from lunaroute.demo.run import AgentRun, AgentSummary
from lunaroute.demo.workspace import FOLLOW_UP, INSTRUCTIONS, TASK, TOOLS, Workspace


def _client(run: AgentRun, base_url: str) -> AsyncOpenAI:
    return AsyncOpenAI(
        api_key="demo",
        base_url=f"{base_url}/v1",
        default_headers={"x-session-tag": run.name},
        http_client=DefaultAsyncHttpxClient(event_hooks={"request": [run.on_request], "response": [run.on_response]}),
    )


async def chat(
    run: AgentRun, base_url: str, workspace: Workspace, *, simulate_first: str | None = None
) -> AgentSummary:
    """One session over chat completions, streamed with usage. `simulate_first` as in `anthropic_agent.work`."""
    tools = [
        {
            "type": "function",
            "function": {"name": t.name, "description": t.description, "parameters": t.parameters},
        }
        for t in TOOLS
    ]
    messages: list[dict[str, Any]] = [{"role": "developer", "content": INSTRUCTIONS}]
    headers = {"x-simulate": simulate_first} if simulate_first else {}
    async with _client(run, base_url) as client:
        for question, tool_choice in ((TASK, "auto"), (FOLLOW_UP, "none")):
            messages.append({"role": "user", "content": question})
            while True:
                request = {"model": run.model, "messages": messages, "tools": tools, "tool_choice": tool_choice}
                answer = await _ask_chat(run, client, request | {"extra_headers": headers})
                headers = {}
                messages.append(answer)
                calls = answer.get("tool_calls", [])
                if not calls:
                    break
                outputs = await asyncio.gather(
                    *(_run(run, workspace, c["function"]["name"], c["function"]["arguments"]) for c in calls)
                )
                messages += [
                    {"role": "tool", "tool_call_id": call["id"], "content": output}
                    for call, output in zip(calls, outputs, strict=True)
                ]
    return run.summary()


async def _ask_chat(run: AgentRun, client: AsyncOpenAI, request: dict[str, Any]) -> dict[str, Any]:
    """The streamed answer as the message a client sends back."""
    text, calls = "", {}  # type: str, dict[int, dict[str, Any]]
    stream = await client.chat.completions.create(stream=True, stream_options={"include_usage": True}, **request)
    async for chunk in stream:
        if chunk.usage:
            _count_chat(run, chunk.usage)
        for choice in chunk.choices:
            text += choice.delta.content or ""
            for delta in choice.delta.tool_calls or []:
                new = {"id": delta.id, "type": "function", "function": {"name": "", "arguments": ""}}
                function = calls.setdefault(delta.index, new)["function"]
                function["name"] += delta.function.name or ""
                function["arguments"] += delta.function.arguments or ""
    run.answer = text or run.answer
    return {"role": "assistant", "content": text or None} | ({"tool_calls": list(calls.values())} if calls else {})


def _count_chat(run: AgentRun, usage: Any) -> None:
    run.used(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        thinking_tokens=usage.completion_tokens_details.reasoning_tokens,
        cache_read_tokens=usage.prompt_tokens_details.cached_tokens,
    )


async def responses(run: AgentRun, base_url: str, workspace: Workspace, *, is_chained: bool) -> AgentSummary:
    """One session over streamed responses: chained by `previous_response_id`, or stateless with its full input."""
    settings: dict[str, Any] = {
        "model": run.model,
        "instructions": INSTRUCTIONS,
        "reasoning": {"effort": "medium", "summary": "auto"},
        "tools": [
            {"type": "function", "name": t.name, "description": t.description, "parameters": t.parameters}
            for t in TOOLS
        ],
    }
    if not is_chained:
        settings |= {"store": False, "include": ["reasoning.encrypted_content"]}
    items: list[dict[str, Any]] = []
    async with _client(run, base_url) as client:
        for question, tool_choice in ((TASK, "auto"), (FOLLOW_UP, "none")):
            items.append({"role": "user", "content": question})
            while True:
                answer = await _ask_responses(client, settings | {"input": items, "tool_choice": tool_choice})
                _count_responses(run, answer)
                if is_chained:
                    settings, items = settings | {"previous_response_id": answer.id}, []
                else:
                    items = [*items, *(_as_input(item) for item in answer.output)]
                calls = [item for item in answer.output if item.type == "function_call"]
                if not calls:
                    break
                outputs = await asyncio.gather(*(_run(run, workspace, c.name, c.arguments) for c in calls))
                items += [
                    {"type": "function_call_output", "call_id": call.call_id, "output": output}
                    for call, output in zip(calls, outputs, strict=True)
                ]
    return run.summary()


async def _ask_responses(client: AsyncOpenAI, request: dict[str, Any]) -> Any:
    async with client.responses.stream(**request) as stream:
        return await stream.get_final_response()


def _as_input(item: Any) -> dict[str, Any]:
    """An output item as a client sends it back."""
    sent: dict[str, Any] = item.to_dict(mode="json")
    return {key: value for key, value in sent.items() if not key.startswith("parsed")}


def _count_responses(run: AgentRun, answer: Any) -> None:
    usage = answer.usage
    run.used(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        thinking_tokens=usage.output_tokens_details.reasoning_tokens,
        cache_read_tokens=usage.input_tokens_details.cached_tokens,
    )
    run.answer = answer.output_text or run.answer


async def _run(run: AgentRun, workspace: Workspace, name: str, arguments: str) -> str:
    run.doing(f"running {name}")
    run.tool_call_count += 1
    return await workspace.run_tool(name, json.loads(arguments))
