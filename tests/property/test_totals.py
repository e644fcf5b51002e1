"""Session numbers are sums of their exchanges, and these of what the providers said, for any traffic: re-added here
from the events and from the traffic alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lunaroute.assemble.exchange import Assembled, RunEnded
from lunaroute.events import Event
from lunaroute.events.types import Completed, ResponseRecorded, StatsSnapshot, ToolCallRecorded
from lunaroute.recorder.pipeline import Pipeline
from lunaroute.recorder.pipeline_state import PipelineSettings
from tests.exchanges import MS, START_WALL_NS, ExchangeScript
from tests.traffic import anthropic_request, anthropic_response, anthropic_stream, both, exchange_of

counts = st.none() | st.integers(0, 5000)


@st.composite
def turns(draw: st.DrawFn) -> list[dict[str, Any]]:
    return draw(
        st.lists(
            st.fixed_dictionaries(
                {
                    "session": st.sampled_from(["a", "b"]),
                    "input_tokens": counts,
                    "output_tokens": counts,
                    "cache_read_input_tokens": counts,
                    "cache_creation_input_tokens": counts,
                    "calls": st.integers(0, 3),
                    "answers": st.integers(0, 3),
                    "tool": st.sampled_from(["Bash", "Read"]),
                    "is_stream": st.booleans(),
                    "fails": st.booleans(),
                    "provider": st.sampled_from(["anthropic", "anthropic", "my-gateway", "google", "openai"]),
                }
            ),
            min_size=1,
            max_size=8,
        )
    )


def traffic(story: list[dict[str, Any]]) -> list[Assembled]:
    items: list[Assembled] = []
    waiting: dict[tuple[str, str], list[str]] = {}
    for number, turn in enumerate(story):
        calls = [f"toolu_{number}_{index}" for index in range(turn["calls"])]
        pending = waiting.setdefault((turn["session"], turn["provider"]), [])
        answered = pending[: turn["answers"]]
        del pending[: turn["answers"]]
        usage = {key: value for key, value in turn.items() if key.endswith("_tokens") and value is not None}
        if turn["provider"] in ("google", "openai"):
            items += both((_gemini_turn if turn["provider"] == "google" else _chat_turn)(number, turn))
            continue
        response: bytes | list[bytes] = anthropic_response("ok", calls=calls, tool_name=turn["tool"], **usage)
        if turn["is_stream"]:
            response = anthropic_stream("ok", output_tokens=turn["output_tokens"] or 0)
        elif not turn["fails"]:
            pending += calls
        script = exchange_of(
            number,
            anthropic_request("", results=[(call_id, "out") for call_id in answered], errors=answered[:1]),
            b"{}" if turn["fails"] else response,
            at_ms=number * 150,
            session=turn["session"],
            status=500 if turn["fails"] else 200,
            provider=turn["provider"],
        )
        items += both(script)
    return [*items, RunEnded(START_WALL_NS + 3_600_000 * MS)]


def _gemini_turn(number: int, turn: dict[str, Any]) -> ExchangeScript:
    """The same numbers in Gemini's words, which count thoughts and tool prompts beside the rest."""
    counts = {
        "promptTokenCount": turn["input_tokens"],
        "candidatesTokenCount": turn["output_tokens"],
        "thoughtsTokenCount": turn["cache_creation_input_tokens"],
        "toolUsePromptTokenCount": turn["cache_read_input_tokens"],
    }
    usage = {name: count for name, count in counts.items() if count is not None}
    parts = [{"text": "ok"}, *({"functionCall": {"name": turn["tool"]}} for _ in range(turn["calls"]))]
    body = {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}], "usageMetadata": usage}
    return exchange_of(
        number,
        b'{"contents":[{"role":"user","parts":[{"text":"go"}]}]}',
        b"{}" if turn["fails"] else json.dumps(body | {"modelVersion": "gemini-2.5-flash"}).encode(),
        at_ms=number * 150,
        session=turn["session"],
        status=500 if turn["fails"] else 200,
        provider="google",
        path="/v1beta/models/gemini-2.5-flash:generateContent",
    )


def _chat_turn(number: int, turn: dict[str, Any]) -> ExchangeScript:
    """The same numbers in OpenAI's words, whose parts are inside the whole; some providers' reasoning is beside it."""
    prompt, completion = turn["input_tokens"] or 0, turn["output_tokens"] or 0
    reasoning = turn["cache_creation_input_tokens"] or 0
    usage = {
        "prompt_tokens": prompt,
        "prompt_tokens_details": {"cached_tokens": min(prompt, turn["cache_read_input_tokens"] or 0)},
        "completion_tokens": completion,
        "completion_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": prompt + completion + reasoning,
    }
    function = {"name": turn["tool"], "arguments": "{}"}
    calls = [{"id": f"call_{number}_{n}", "type": "function", "function": function} for n in range(turn["calls"])]
    message = {"role": "assistant", "content": "ok", "tool_calls": calls}
    body = {"id": f"chatcmpl_{number}", "model": "grok-4", "choices": [{"index": 0, "message": message}]}
    return exchange_of(
        number,
        b'{"messages":[{"role":"user","content":"go"}]}',
        b"{}" if turn["fails"] else json.dumps(body | {"usage": usage}).encode(),
        at_ms=number * 150,
        session=turn["session"],
        status=500 if turn["fails"] else 200,
        provider="openai",
        path="/v1/chat/completions",
    )


def said(turn: dict[str, Any]) -> tuple[int, int]:
    """Input and output as the provider of the turn says them, by the inclusive rule."""
    counts = {name: count or 0 for name, count in turn.items() if name.endswith("_tokens")}
    cache = (counts["cache_read_input_tokens"], counts["cache_creation_input_tokens"])
    if turn["fails"]:
        return 0, 0
    if turn["provider"] == "openai":
        return counts["input_tokens"], counts["output_tokens"] + cache[1]
    if turn["provider"] == "google":
        return counts["input_tokens"] + cache[0], counts["output_tokens"] + cache[1]
    if turn["is_stream"]:
        return 10, counts["output_tokens"]
    # What the builders of traffic say where the story says nothing.
    uncached = 10 if turn["input_tokens"] is None else counts["input_tokens"]
    return uncached + sum(cache), 5 if turn["output_tokens"] is None else counts["output_tokens"]


def total(responses: list[ResponseRecorded], value: Callable[[ResponseRecorded], float | None]) -> float | None:
    """The sum of what was said; None if nothing was."""
    said = [number for response in responses if (number := value(response)) is not None]
    return sum(said) if said else None


@settings(max_examples=60, deadline=None)
@given(turns())
def test_a_sessions_numbers_are_the_sums_of_its_exchanges(story: list[dict[str, Any]]) -> None:
    pipeline = Pipeline(PipelineSettings(snapshot_every_exchanges=3))
    sessions: dict[str, list[Event]] = {}
    for item in traffic(story):
        for event in pipeline.feed(item):
            sessions.setdefault(event.session_id, []).append(event)
    assert pipeline.take_poisoned() == []
    assert sum(isinstance(events[-1], Completed) for events in sessions.values()) == len(sessions)
    for events in sessions.values():
        check_session(events)
    finals = [event.final_stats for events in sessions.values() for event in events if isinstance(event, Completed)]
    assert sum(final.total_tokens.input or 0 for final in finals) == sum(said(turn)[0] for turn in story)
    assert sum(final.total_tokens.output or 0 for final in finals) == sum(said(turn)[1] for turn in story)


def check_session(events: list[Event]) -> None:
    completed = events[-1]
    assert isinstance(completed, Completed)
    stats = completed.final_stats
    responses = [event for event in events if isinstance(event, ResponseRecorded)]
    assert stats.request_count == len(responses)
    assert stats.error_count == sum(not response.success for response in responses)
    assert stats.provider_time_ms == pytest.approx(total(responses, lambda r: r.stats.provider_latency_ms))
    assert stats.proxy_overhead_ms == pytest.approx(total(responses, lambda r: r.stats.total_proxy_overhead_ms))
    check_tokens(completed, responses)
    check_cost(completed, responses)
    check_tools(completed, responses, [event for event in events if isinstance(event, ToolCallRecorded)])
    for index, event in enumerate(events):
        if isinstance(event, StatsSnapshot):
            so_far = [earlier for earlier in events[:index] if isinstance(earlier, ResponseRecorded)]
            assert event.stats.request_count == len(so_far)
            assert event.stats.total_input_tokens == (total(so_far, lambda r: r.stats.tokens.input_tokens) or 0)
            assert event.stats.total_tool_calls == sum(len(response.stats.tool_calls) for response in so_far)


def check_tokens(completed: Completed, responses: list[ResponseRecorded]) -> None:
    tokens = completed.final_stats.total_tokens
    assert tokens.input == total(responses, lambda r: r.stats.tokens.input_tokens)
    assert tokens.output == total(responses, lambda r: r.stats.tokens.output_tokens)
    assert tokens.cache_read == total(responses, lambda r: r.stats.tokens.cache_read_tokens)
    assert tokens.cache_creation == total(responses, lambda r: r.stats.tokens.cache_creation_tokens)
    assert tokens.total == total(responses, lambda r: r.stats.tokens.total_tokens)
    assert (tokens.total or 0) == (tokens.input or 0) + (tokens.output or 0)
    assert sum(model.total_tokens or 0 for model in tokens.by_model.values()) == (tokens.total or 0)


def check_cost(completed: Completed, responses: list[ResponseRecorded]) -> None:
    cost = completed.final_stats.estimated_cost
    costs = [response.stats.estimated_cost for response in responses if response.stats.estimated_cost is not None]
    assert cost.unpriced_requests == sum(each.unpriced_requests for each in costs)
    priced = [each.total_cost_usd for each in costs if each.total_cost_usd is not None]
    if priced or not costs:
        assert cost.total_cost_usd == pytest.approx(sum(priced))
        assert sum(cost.by_model.values()) == pytest.approx(sum(priced))
    else:
        assert cost.total_cost_usd is None
    for each in [*costs, cost]:
        if each.total_cost_usd is not None:
            parts = (
                each.input_cost_usd,
                each.output_cost_usd,
                each.thinking_cost_usd,
                each.cache_read_cost_usd,
                each.cache_creation_cost_usd,
            )
            assert sum(part or 0 for part in parts) == pytest.approx(each.total_cost_usd)


def check_tools(completed: Completed, responses: list[ResponseRecorded], results: list[ToolCallRecorded]) -> None:
    summary = completed.final_stats.tool_summary
    calls = [call for response in responses for call in response.stats.tool_calls]
    assert summary.total_calls == len(calls)
    assert summary.unique_tools == len({call.tool_name for call in calls})
    assert summary.total_tool_time_ms == pytest.approx(sum(result.execution_time_ms or 0 for result in results))
    assert summary.tool_error_count == sum(result.success is False for result in results)
    assert len({result.tool_call_id for result in results}) == len(results)
    for name, use in summary.by_tool.items():
        assert use.call_count == sum(call.tool_name == name for call in calls)
        assert use.error_count == sum(r.success is False and r.tool_name == name for r in results)
