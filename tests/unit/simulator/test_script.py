"""The scripted model, seen through one dialect where it does not depend on one."""

import itertools
import json
from typing import Any

import pytest

from lunaroute.simulator import anthropic
from lunaroute.simulator.dialect import Conversations
from lunaroute.simulator.script import play, sample_value
from lunaroute.simulator.tokens import output_token_count
from lunaroute.simulator.turn import Prompt, Turn

CODING_TOOLS = ("grep", "read_file", "edit_file", "run_tests")


def prompt(messages: list[dict[str, Any]], tools: tuple[str, ...] = CODING_TOOLS, **fields: Any) -> Prompt:
    offered = [{"name": name, "input_schema": {"type": "object"}} for name in tools]
    body = {"model": "m", "messages": messages, "tools": offered, "thinking": {"type": "enabled"}, **fields}
    return anthropic.read_prompt(body, Conversations())


def turn(asked: Prompt, answer_bytes: int | None = None) -> Turn:
    ids = (f"toolu_{n}" for n in itertools.count())
    return play(asked, lambda: next(ids), answer_bytes)


def play_through(test_outputs: list[str]) -> list[list[str]]:
    """The tools of each round until the final answer, where run_tests gives `test_outputs` in turn."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": "fix it"}]
    outputs, rounds = iter(test_outputs), []
    while calls := turn(prompt(messages)).calls:
        rounds.append([call.name for call in calls])
        uses = [{"type": "tool_use", "id": c.id, "name": c.name, "input": json.loads(c.arguments)} for c in calls]
        results = [
            {
                "type": "tool_result",
                "tool_use_id": c.id,
                "content": next(outputs) if c.name == "run_tests" else "ok",
            }
            for c in calls
        ]
        messages += [{"role": "assistant", "content": uses}, {"role": "user", "content": results}]
    return rounds


def test_it_edits_again_while_the_tests_fail() -> None:
    assert play_through(["FAILED one", "2 passed"]) == [
        ["grep"],
        ["read_file", "read_file"],
        ["edit_file"],
        ["run_tests"],
        ["edit_file"],
        ["run_tests"],
    ]


def test_it_answers_as_soon_as_the_tests_pass() -> None:
    assert play_through(["2 passed"])[-1] == ["run_tests"]


def test_it_never_calls_a_tool_that_is_not_offered() -> None:
    asked = prompt([{"role": "user", "content": "x"}], tools=("edit_file",))
    assert [call.name for call in turn(asked).calls] == ["edit_file"]


def test_foreign_tools_are_called_two_at_once_with_arguments_that_fit() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}
    tools = [{"name": "weather", "input_schema": schema}, {"name": "clock", "input_schema": {"type": "object"}}]
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "tools": tools}
    calls = turn(anthropic.read_prompt(body, Conversations())).calls
    assert [(call.name, json.loads(call.arguments)) for call in calls] == [
        ("weather", {"city": "sample", "days": 7}),
        ("clock", {}),
    ]


def test_tool_choice_none_is_obeyed() -> None:
    assert turn(prompt([{"role": "user", "content": "x"}], tool_choice={"type": "none"})).calls == ()


def test_a_forced_tool_is_called() -> None:
    asked = prompt([{"role": "user", "content": "x"}], tool_choice={"type": "tool", "name": "run_tests"})
    assert [call.name for call in turn(asked).calls] == ["run_tests"]


def test_the_same_prompt_gives_the_same_turn() -> None:
    messages = [{"role": "user", "content": "do something"}]
    assert turn(prompt(messages)) == turn(prompt(messages))


def test_without_thinking_asked_for_there_is_none() -> None:
    assert turn(prompt([{"role": "user", "content": "x"}], thinking=None)).thinking == ""


@pytest.mark.parametrize("size_bytes", [1, 40, 5000])
def test_the_answer_has_the_size_asked_for(size_bytes: int) -> None:
    assert len(turn(prompt([{"role": "user", "content": "“x”"}], tools=()), size_bytes).text.encode()) == size_bytes


@pytest.mark.parametrize("limit", [1, 5, 20, 10_000])
def test_the_output_limit_is_never_exceeded(limit: int) -> None:
    said = turn(prompt([{"role": "user", "content": "x"}], max_tokens=limit))
    assert output_token_count(said) <= limit
    assert said.is_cut_short == (limit < 10_000)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"enum": ["a", "b"]}, "a"),
        ({"const": 3}, 3),
        ({"type": ["boolean", "null"]}, True),
        ({"type": "array", "items": {"type": "number"}}, [2.5]),
        ({"type": "object", "properties": {"a": {"type": "null"}, "b": {}}, "required": ["a"]}, {"a": None}),
        ({}, {}),
    ],
)
def test_sample_values_fit_their_schema(schema: dict[str, Any], value: Any) -> None:
    assert sample_value(schema) == value
