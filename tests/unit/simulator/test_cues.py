"""Cues in the prompt are followed to the letter, and refused where they cannot be."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lunaroute.simulator import anthropic
from lunaroute.simulator.cues import CuedCall, parse_cues
from lunaroute.simulator.dialect import Conversations
from lunaroute.simulator.script import play
from lunaroute.simulator.turn import RequestRefusedError, Turn

SCHEMA = {
    "type": "object",
    "properties": {
        "command": {"type": "string"},
        "limit": {"type": "integer"},
        "is_background": {"type": ["boolean", "null"]},
        "paths": {"type": "array"},
    },
}


def turn(text: str, rounds: int = 0, tools: tuple[str, ...] = ("Bash", "Agent")) -> Turn:
    """What is said to a prompt after so many rounds of calls."""
    use = {"type": "tool_use", "id": "t", "name": "Bash", "input": {}}
    messages: list[dict[str, Any]] = [{"role": "user", "content": text}]
    for _ in range(rounds):
        messages += [
            {"role": "assistant", "content": [use]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "ok"}]},
        ]
    offered = [{"name": name, "input_schema": SCHEMA} for name in tools]
    prompt = anthropic.read_prompt({"model": "m", "messages": messages, "tools": offered}, Conversations())
    return play(prompt, lambda: "id", None)


def calls(said: Turn) -> list[tuple[str, Any]]:
    return [(call.name, json.loads(call.arguments)) for call in said.calls]


def test_rounds_are_played_in_order_and_end_with_the_answer() -> None:
    text = (
        "Do it. [[call: Bash command=one | Bash command='t w o']] [[call: Agent command=3]] [[answer: All [1] done.]]"
    )
    assert calls(turn(text)) == [("Bash", {"command": "one"}), ("Bash", {"command": "t w o"})]
    assert calls(turn(text, 1)) == [("Agent", {"command": "3"})]
    assert (turn(text, 2).calls, turn(text, 2).text) == ((), "All [1] done.")


def test_values_have_the_types_that_the_tool_wants() -> None:
    text = "[[call: Bash command=7 limit=7 is_background=false paths='[\"a\", 1]' unknown=7]]"
    expected = {"command": "7", "limit": 7, "is_background": False, "paths": ["a", 1], "unknown": "7"}
    assert calls(turn(text)) == [("Bash", expected)]


def test_what_is_for_somebody_else_stays_inside_its_value() -> None:
    inner = '[[call: Bash command="a | b"]] [[answer: inner]]'
    cues = parse_cues(f"[[call: Agent command='{inner}' limit=1 | Bash command=x=y]] [[answer: outer]]")
    assert cues.answer == "outer"
    assert cues.rounds == (
        (
            CuedCall(tool="Agent", arguments={"command": inner, "limit": "1"}),
            CuedCall(tool="Bash", arguments={"command": "x=y"}),
        ),
    )


def test_a_side_call_without_tools_gets_the_answer() -> None:
    said = turn("A title for: [[call: Bash command=x]] [[answer: Short title]]", tools=())
    assert (said.calls, said.text) == ((), "Short title")


@pytest.mark.parametrize("text", ["no cue", "[[simulate: close]]", "[[call", "]] [[", "[[]]", "a[[b]]c"])
def test_everything_else_in_brackets_is_text(text: str) -> None:
    assert not parse_cues(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[call: Read path=x]]", "Read is none of the tools offered: Bash, Agent"),
        ("[[call: Bash command='open]]", "No closing quotation"),
        ("[[call: Bash words]]", "'words' is not argument=value"),
        ("[[call: Bash command=x | ]]", "names no tool"),
        ("[[call: Bash limit=many]]", "'many' is not JSON, but its argument is of type integer"),
    ],
)
def test_a_cue_that_cannot_be_followed_is_refused(text: str, message: str) -> None:
    with pytest.raises(RequestRefusedError, match=message) as refused:
        turn(text)
    assert refused.value.status == 400
