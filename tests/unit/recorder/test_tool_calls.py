"""Tool calls through the pipeline: each once, whatever is sent again, named or not, soon or late."""

from __future__ import annotations

import json
from typing import Any

from lunaroute.assemble.exchange import Assembled, RunEnded
from lunaroute.events import Event
from lunaroute.events.types import Completed, ResponseRecorded, Started, ToolCallRecorded
from lunaroute.recorder.pipeline import Pipeline
from lunaroute.recorder.pipeline_state import PipelineSettings
from tests.exchanges import MS, START_WALL_NS, ExchangeScript
from tests.traffic import anthropic_request, anthropic_response, both, exchange_of

IDLE_MS = PipelineSettings().idle_timeout_ns // MS


def run(*exchanges: ExchangeScript, end_ms: int = 100_000) -> list[Event]:
    pipeline = Pipeline(PipelineSettings())
    items: list[Assembled] = [item for script in exchanges for item in both(script)]
    items.append(RunEnded(START_WALL_NS + end_ms * MS))
    events = [event for item in items for event in pipeline.feed(item)]
    assert pipeline.take_poisoned() == []
    return events


def of(events: list[Event], kind: type[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


# ---- without ids (Gemini)


def model(*names: str) -> dict[str, Any]:
    return {"role": "model", "parts": [{"functionCall": {"name": name, "args": {"n": 1}}} for name in names]}


def results(*outputs: tuple[str, str]) -> dict[str, Any]:
    parts = [{"functionResponse": {"name": name, "response": {"output": output}}} for name, output in outputs]
    return {"role": "user", "parts": parts}


def gemini(number: int, at_ms: int, contents: list[dict[str, Any]], answer: dict[str, Any] | None) -> ExchangeScript:
    """A `generateContent`; no answer means that the provider was overloaded."""
    body = {"contents": contents, "tools": [{"functionDeclarations": [{"name": "read"}]}]}
    reply = (
        {"error": {"code": 503}} if answer is None else {"candidates": [{"content": answer, "finishReason": "STOP"}]}
    )
    script = ExchangeScript(
        number,
        body=json.dumps(body).encode(),
        path="/v1beta/models/gemini-2.5-pro:generateContent",
        provider="google",
        opened_ms=at_ms,
        sent_ms=at_ms,
    )
    script.answer(503 if answer is None else 200, at_ms=at_ms + 50)
    script.chunk(json.dumps(reply).encode(), at_ms=at_ms + 60)
    script.close(at_ms=at_ms + 60)
    return script


def test_calls_without_ids_get_their_results_by_name_and_order_and_only_once() -> None:
    asked = {"role": "user", "parts": [{"text": "look"}]}
    history = [asked, model("read", "read", "list")]
    first = results(("read", "1"), ("list", "l"), ("read", "2"))
    longer = [*history, first, model("read")]
    done = {"role": "model", "parts": [{"text": "done"}]}
    events = run(
        gemini(1, 0, [asked], history[1]),
        gemini(2, 1000, [*history, first], None),
        gemini(3, 2000, [*history, first], model("read")),
        gemini(4, 3000, [*history, first], model("read")),  # asked again although it was answered
        gemini(5, 4000, [*longer, results(("read", "3"))], done),
    )
    recorded = of(events, ToolCallRecorded)
    assert [(one.tool_name, one.output_text) for one in recorded] == [
        ("read", "1"),
        ("list", "l"),
        ("read", "2"),
        ("read", "3"),
    ]
    first_id = recorded[0].call_request_id
    assert [one.tool_call_id for one in recorded[:3]] == [f"{first_id}#1", f"{first_id}#3", f"{first_id}#2"]
    assert recorded[0].execution_time_ms == 1000 - 60
    [completed] = of(events, Completed)
    assert completed.final_stats.tool_summary.by_tool["read"].call_count == 4


# ---- sent again, and late


def test_a_call_that_two_responses_have_counts_once() -> None:
    answer = anthropic_response("sure", calls=["toolu_1"])
    events = run(
        exchange_of(1, anthropic_request("list"), answer, at_ms=0),
        exchange_of(2, anthropic_request("list"), answer, at_ms=500),
        exchange_of(3, anthropic_request("", results=[("toolu_1", "a")]), anthropic_response("ok"), at_ms=1000),
    )
    assert [[one.is_repeated for one in event.stats.tool_calls] for event in of(events, ResponseRecorded)] == [
        [False],
        [True],
        [],
    ]
    assert len(of(events, ToolCallRecorded)) == 1
    assert of(events, Completed)[0].final_stats.tool_summary.total_calls == 1


def test_the_time_of_parallel_calls_is_waited_for_once() -> None:
    calls = ["toolu_1", "toolu_2"]
    both_results = anthropic_request("", results=[(one, "out") for one in calls])
    events = run(
        exchange_of(1, anthropic_request("go"), anthropic_response("sure", calls=calls), at_ms=0),
        exchange_of(2, both_results, anthropic_response("ok"), at_ms=1000),
        exchange_of(3, both_results, anthropic_response("ok"), at_ms=2000),
    )
    recorded = of(events, ToolCallRecorded)
    assert [(one.execution_time_ms, one.is_shared_bound, one.parallel_count) for one in recorded] == [
        (890.0, True, 2),
        (890.0, True, 2),
    ]
    summary = of(events, Completed)[0].final_stats.tool_summary
    assert (summary.total_tool_time_ms, summary.tool_wait_ms) == (1780.0, 890.0)


def test_a_result_that_comes_after_the_session_ended_is_recorded_in_the_one_that_continues() -> None:
    late_ms = IDLE_MS + 60_000
    events = run(
        exchange_of(1, anthropic_request("go"), anthropic_response("sure", calls=["toolu_1"]), at_ms=0),
        exchange_of(2, anthropic_request("", results=[("toolu_1", "out")]), anthropic_response("ok"), at_ms=late_ms),
        end_ms=late_ms + 5000,
    )
    first, second = of(events, Started)
    assert second.continues == first.session_id
    [late] = of(events, ToolCallRecorded)
    assert (late.session_id, late.execution_time_ms) == (second.session_id, late_ms - 110)
    calls = [event.final_stats.tool_summary.total_calls for event in of(events, Completed)]
    assert calls == [1, 0]


def test_a_command_that_says_its_exit_code_says_how_sure_that_is() -> None:
    output = "Chunk ID: 1\nWall time: 0.1 seconds\nProcess exited with code 3\nOutput:\nno"
    call = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "exec", "arguments": "{}"}
    outputs = [{"type": "function_call_output", "call_id": "call_1", "output": output}]
    scripts = []
    for number, items in enumerate(([], [call, *outputs])):
        given = [{"role": "user", "content": "go"}, *items]
        body = json.dumps({"input": given, "tools": [{}]}).encode()
        script = ExchangeScript(number, body=body, path="/v1/responses", provider="openai", opened_ms=number * 1000)
        script.answer(200, at_ms=number * 1000 + 100)
        reply = {"id": f"resp_{number}", "status": "completed", "output": [] if items else [call]}
        script.chunk(json.dumps(reply).encode(), at_ms=number * 1000 + 110)
        script.close(at_ms=number * 1000 + 120)
        scripts.append(script)
    [recorded] = of(run(*scripts), ToolCallRecorded)
    assert (recorded.success, recorded.exit_code) == (False, 3)
    assert (recorded.success_evidence, recorded.success_confidence) == ("exit_code_line", "likely")
