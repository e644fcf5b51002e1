"""The official SDKs against the simulated provider: what they parse is what the ledger says was served."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from lunaroute.demo.agent import AGENT_NAMES, run_agents
from lunaroute.simulator import LedgerEntry, RunningSimulator, start_simulator

TOOL = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
QUESTION = [{"role": "user", "content": "What is wrong with the cart?"}]


@pytest.fixture(scope="module")
def simulator() -> Iterator[RunningSimulator]:
    with start_simulator() as running:
        yield running


@pytest.fixture
def claude(simulator: RunningSimulator) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(api_key="dummy", base_url=simulator.base_url) as client:
        yield client


@pytest.fixture
def gpt(simulator: RunningSimulator) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="dummy", base_url=f"{simulator.base_url}/v1") as client:
        yield client


def served(simulator: RunningSimulator, response_id: str) -> LedgerEntry:
    (entry,) = (entry for entry in simulator.ledger() if entry.response_id == response_id)
    return entry


def same(usage: Any, entry: LedgerEntry) -> bool:
    """Every number the provider told is in the SDK's object."""
    seen = usage.to_dict()
    return entry.usage is not None and all(seen[key] == value for key, value in entry.usage.items())


@pytest.mark.parametrize("is_streamed", [False, True])
def test_anthropic_messages_with_thinking_and_a_tool(
    simulator: RunningSimulator, claude: anthropic.Anthropic, is_streamed: bool
) -> None:
    request: dict[str, Any] = {
        "model": "claude-sonnet-4-6",
        "max_tokens": 4000,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "tools": [{"name": "read_file", "input_schema": TOOL}],
        "messages": QUESTION,
    }
    if is_streamed:
        with claude.messages.stream(**request) as stream:
            message: Any = stream.get_final_message()
    else:
        message = claude.messages.create(**request)
    thinking, text, *calls = message.content
    entry = served(simulator, message.id)
    assert (thinking.thinking, text.text) == (entry.thinking, entry.text)
    assert [(c.id, c.input) for c in calls] == [
        (entry.tool_calls[0].id, {"path": "src/shop/cart.py"}),
        (entry.tool_calls[1].id, {"path": "tests/test_cart.py"}),
    ]
    assert message.stop_reason == "tool_use"
    assert (entry.status, entry.outcome, entry.is_stream) == (200, "completed", is_streamed)
    assert message._request_id == entry.request_id if not is_streamed else True
    assert same(message.usage, entry)


def test_anthropic_count_tokens_equals_the_input_charged(
    simulator: RunningSimulator, claude: anthropic.Anthropic
) -> None:
    counted = claude.messages.count_tokens(model="claude-opus-4-8", messages=QUESTION)  # type: ignore[arg-type]
    message = claude.messages.create(model="claude-opus-4-8", max_tokens=99, messages=QUESTION)  # type: ignore[arg-type]
    assert counted.input_tokens == message.usage.input_tokens


def test_models_are_listed_in_each_providers_shape(claude: anthropic.Anthropic, gpt: openai.OpenAI) -> None:
    assert [model.type for model in claude.models.list()] == ["model"] * 3
    assert {model.object for model in gpt.models.list()} == {"model"}
    assert gpt.models.retrieve("gpt-5").id == "gpt-5"
    with pytest.raises(openai.NotFoundError):
        gpt.models.retrieve("gpt-none")


def test_openai_chat_streams_with_usage(simulator: RunningSimulator, gpt: openai.OpenAI) -> None:
    tools = [{"type": "function", "function": {"name": "read_file", "parameters": TOOL}}]
    with gpt.chat.completions.stream(
        model="gpt-5-mini",
        messages=QUESTION,  # type: ignore[arg-type]
        tools=tools,  # type: ignore[arg-type]
        stream_options={"include_usage": True},
    ) as stream:
        completion = stream.get_final_completion()
    entry = served(simulator, completion.id)
    message = completion.choices[0].message
    assert message.content == entry.text
    assert [call.id for call in message.tool_calls or []] == [call.id for call in entry.tool_calls]
    assert completion.choices[0].finish_reason == "tool_calls"
    assert completion.model == "gpt-5-mini-2025-08-07"
    assert same(completion.usage, entry)
    assert entry.is_usage_served


def test_openai_chat_without_include_usage_tells_none(simulator: RunningSimulator, gpt: openai.OpenAI) -> None:
    chunks = list(gpt.chat.completions.create(model="gpt-4.1", messages=QUESTION, stream=True))  # type: ignore[call-overload]
    assert [chunk.usage for chunk in chunks] == [None] * len(chunks)
    entry = served(simulator, chunks[0].id)
    assert not entry.is_usage_served
    assert entry.usage is not None


@pytest.mark.parametrize("is_streamed", [False, True])
def test_openai_responses_reason_call_tools_and_continue(
    simulator: RunningSimulator, gpt: openai.OpenAI, is_streamed: bool
) -> None:
    request: dict[str, Any] = {
        "model": "gpt-5",
        "input": "What is wrong?",
        "reasoning": {"summary": "auto"},
        "tools": [{"type": "function", "name": "read_file", "parameters": TOOL, "strict": False}],
    }
    if is_streamed:
        with gpt.responses.stream(**request) as stream:
            first: Any = stream.get_final_response()
    else:
        first = gpt.responses.create(**request)
    entry = served(simulator, first.id)
    reasoning = first.output[0]
    assert [item.type for item in first.output] == ["reasoning", "message", "function_call", "function_call"]
    assert (reasoning.summary[0].text, first.output_text) == (entry.thinking, entry.text)
    assert [item.call_id for item in first.output[2:]] == [call.id for call in entry.tool_calls]
    assert same(first.usage, entry)
    outputs = [{"type": "function_call_output", "call_id": c.id, "output": "…"} for c in entry.tool_calls]
    second = gpt.responses.create(**request | {"input": outputs, "previous_response_id": first.id})
    assert second.usage.input_tokens > first.usage.input_tokens
    assert second.output[-1].type == "message"


ERRORS = {
    400: "BadRequestError",
    401: "AuthenticationError",
    404: "NotFoundError",
    429: "RateLimitError",
    500: "InternalServerError",
    529: "InternalServerError",
}


@pytest.mark.parametrize(("status", "name"), ERRORS.items())
def test_errors_are_raised_as_the_sdks_own(
    simulator: RunningSimulator, claude: anthropic.Anthropic, gpt: openai.OpenAI, status: int, name: str
) -> None:
    headers = {"x-simulate": f"status={status}"}
    with pytest.raises(getattr(anthropic, name)) as claude_error:
        claude.with_options(max_retries=0).messages.create(
            model="m",
            max_tokens=9,
            messages=QUESTION,  # type: ignore[arg-type]
            extra_headers=headers,
        )
    with pytest.raises(getattr(openai, name)) as gpt_error:
        gpt.with_options(max_retries=0).responses.create(model="m", input="x", extra_headers=headers)
    last_two = simulator.ledger()[-2:]
    assert [claude_error.value.request_id, gpt_error.value.request_id] == [e.request_id for e in last_two]
    assert [(e.status, e.usage) for e in last_two] == [(status, None)] * 2


def test_the_sdk_retries_and_succeeds(simulator: RunningSimulator, claude: anthropic.Anthropic) -> None:
    before = len(simulator.ledger())
    message = claude.messages.create(
        model="m",
        max_tokens=99,
        messages=[
            {"role": "user", "content": "a question of its own [[simulate: status=529; retry_after=0.01; times=1]]"}
        ],
    )
    first, second = simulator.ledger()[before:]
    assert (first.status, second.status, second.response_id) == (529, 200, message.id)
    assert [dict(e.request_headers)["x-stainless-retry-count"] for e in (first, second)] == ["0", "1"]
    assert first.request_sha256 == second.request_sha256


def test_error_events_in_a_stream_reach_the_sdk(claude: anthropic.Anthropic, gpt: openai.OpenAI) -> None:
    headers = {"x-simulate": "error_event_after=4"}
    with (
        pytest.raises(anthropic.APIStatusError, match="overloaded"),
        claude.messages.stream(model="m", max_tokens=99, messages=QUESTION, extra_headers=headers) as stream,  # type: ignore[arg-type]
    ):
        stream.until_done()
    with pytest.raises(openai.APIError, match="had an error"):
        list(gpt.chat.completions.create(model="m", messages=QUESTION, stream=True, extra_headers=headers))  # type: ignore[call-overload]


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_compressed_streams_are_read_by_the_sdk(
    simulator: RunningSimulator, claude: anthropic.Anthropic, coding: str
) -> None:
    headers = {"x-simulate": coding}
    with claude.messages.stream(model="m", max_tokens=99, messages=QUESTION, extra_headers=headers) as stream:  # type: ignore[arg-type]
        message = stream.get_final_message()
    entry = served(simulator, message.id)
    assert ["content-encoding", coding] in [list(pair) for pair in entry.response_headers]
    assert message.content[0].to_dict()["text"] == entry.text


def test_async_streams_run_side_by_side(simulator: RunningSimulator) -> None:
    async def ask(client: anthropic.AsyncAnthropic, n: int) -> Any:
        content = f"question {n} [[simulate: answer_bytes={500 + n}]]"
        async with client.messages.stream(
            model="m", max_tokens=4000, messages=[{"role": "user", "content": content}]
        ) as stream:
            return await stream.get_final_message()

    async def ask_all() -> list[Any]:
        async with anthropic.AsyncAnthropic(api_key="dummy", base_url=simulator.base_url) as client:
            return await asyncio.gather(*(ask(client, n) for n in range(20)))

    for n, message in enumerate(asyncio.run(ask_all())):
        assert len(message.content[0].text) == 500 + n
        assert same(message.usage, served(simulator, message.id))


def test_the_ledger_knows_the_bytes_received(simulator: RunningSimulator, claude: anthropic.Anthropic) -> None:
    raw = claude.messages.with_raw_response.create(model="m", max_tokens=9, messages=QUESTION)  # type: ignore[arg-type]
    entry = served(simulator, raw.parse().id)
    assert entry.request_sha256 == hashlib.sha256(raw.http_request.read()).hexdigest()
    assert entry.response_sha256 == hashlib.sha256(raw.http_response.content).hexdigest()
    head = simulator.raw_head(entry.n)
    assert head.startswith(b"POST /v1/messages HTTP/1.1\r\n")
    assert head.endswith(b"\r\n\r\n")
    assert [f"{name}: {value}".encode() for name, value in entry.request_headers] == head.split(b"\r\n")[1:-2]


def test_the_demo_agents_see_exactly_what_was_served() -> None:
    told: set[str] = set()
    with start_simulator() as simulator:
        summaries = asyncio.run(
            run_agents(simulator.base_url, lambda progress: told.add(progress.name), delay_factor=0.0)
        )
        ledger = simulator.ledger()
    assert told == {summary.name for summary in summaries} == set(AGENT_NAMES)
    for summary in summaries:
        own = [e for e in ledger if dict(e.request_headers)["x-session-tag"] == summary.name]
        usages = [entry.usage for entry in own if entry.usage is not None]
        assert len(own) == summary.request_count
        assert sum(entry.status >= 400 for entry in own) == summary.error_count
        assert sum(len(entry.tool_calls) for entry in own) == summary.tool_call_count
        assert sum(u.get("output_tokens", u.get("completion_tokens")) for u in usages) == summary.output_tokens
        assert all(entry.outcome == "completed" for entry in own)
        assert summary.cache_read_tokens > 0
    assert sum(summary.error_count for summary in summaries) == 2
