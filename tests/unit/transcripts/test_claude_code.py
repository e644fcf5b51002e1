"""Claude Code's transcripts: rows in, turns out."""

from __future__ import annotations

from typing import Any

import pytest

from lunaroute.transcripts.claude_code import read_claude_code
from lunaroute.transcripts.turn import Turn

from .rows import SESSION, block, lines, result, text, tool_use, user


def turns(*rows: Any) -> list[Turn]:
    return read_claude_code(lines(*rows)).turns


def blocks(turn: Turn) -> list[str]:
    return [one["type"] for one in turn.response["content"]]


def test_rows_of_one_message_id_are_one_answer_also_around_a_result() -> None:
    first, second = turns(
        user(0, "list the files"),
        block(1, "msg_1", text("I look.")),
        block(2, "msg_1", tool_use("toolu_1", "Bash", command="ls")),
        result(3, "toolu_1", "notes.txt"),
        block(4, "msg_1", tool_use("toolu_2", "Bash", command="pwd")),
        result(5, "toolu_2", "/home/ada/notes"),
        block(7, "msg_2", text("One file.")),
    )
    assert (first.key, blocks(first)) == ("msg_1", ["text", "tool_use", "tool_use"])
    assert first.request["messages"] == [{"role": "user", "content": "list the files"}]
    assert first.call_ids == ["toolu_1", "toolu_2"]
    assert [len(message["content"]) for message in second.request["messages"]] == [1, 1]
    assert (second.ended_ns - second.began_ns, first.ended_ns - first.began_ns) == (2_000_000_000, 4_000_000_000)
    assert second.returned_ns["toolu_1"] - first.called_ns["toolu_1"] == 1_000_000_000


@pytest.mark.parametrize(
    ("outputs", "stop_reasons", "known"),
    [
        ((1, 1), (None, None), None),
        ((8,), (None,), None),
        ((1, 337), (None, None), 337),
        ((1, 1), (None, "end_turn"), 1),
        ((250, 250), ("tool_use", "tool_use"), 250),
        ((1, 337, 1), (None, None, None), 337),
    ],
)
def test_an_output_count_is_known_by_its_stop_reason_or_because_it_grew(
    outputs: tuple[int, ...], stop_reasons: tuple[str | None, ...], known: int | None
) -> None:
    rows = [
        block(number, "msg_1", text(f"part {number}"), output=output, stop_reason=stop_reason)
        for number, (output, stop_reason) in enumerate(zip(outputs, stop_reasons, strict=True))
    ]
    (turn,) = turns(user(0, "hello"), *rows)
    assert turn.response["usage"].get("output_tokens") == known
    assert turn.response["usage"]["cache_read_input_tokens"] == 90


def test_what_the_client_wrote_without_asking_anybody_is_no_answer() -> None:
    assert turns(user(0, "hello"), block(1, "5f3e", text("API Error: 529"), model="<synthetic>")) == []


def test_a_row_that_stands_twice_counts_once() -> None:
    again = block(1, "msg_1", tool_use("toolu_1", "Bash", command="ls"))
    (turn,) = turns(user(0, "hello"), again, again)
    assert (blocks(turn), turn.call_ids) == (["tool_use"], ["toolu_1"])


def test_sub_agents_have_their_threads() -> None:
    side = {"isSidechain": True, "agentId": "a2271d1"}
    main, helper, after = turns(
        user(0, "count them"),
        block(1, "msg_1", tool_use("toolu_1", "Task", prompt="count")),
        user(2, "count", **side),
        block(3, "msg_2", text("Two."), **side),
        result(4, "toolu_1", "Two."),
        block(5, "msg_3", text("There are two.")),
    )
    assert (main.thread_id, helper.thread_id, after.thread_id) == (None, "a2271d1", None)
    assert helper.parent_thread_id == SESSION
    assert helper.request["messages"] == [{"role": "user", "content": "count"}]


def test_older_sub_agents_are_told_by_their_chain_of_rows() -> None:
    one = {"isSidechain": True, "uuid": "s1", "parentUuid": None}
    two = {"isSidechain": True, "uuid": "s2", "parentUuid": None}
    found = turns(
        user(0, "count", **one),
        user(0.1, "sort", **two),
        block(1, "msg_1", text("Two."), isSidechain=True, uuid="s3", parentUuid="s1"),
        block(2, "msg_2", text("Sorted."), isSidechain=True, uuid="s4", parentUuid="s2"),
    )
    assert [(turn.thread_id, turn.request["messages"][0]["content"]) for turn in found] == [
        ("s1", "count"),
        ("s2", "sort"),
    ]


def test_lines_of_other_kinds_are_passed_over_and_broken_ones_named() -> None:
    reading = read_claude_code(
        lines(
            {"type": "summary", "summary": "Notes", "leafUuid": "x"},
            b"",
            b'{"type":"user","mess',
            b"[1]",
            {"type": "file-history-snapshot", "messageId": "m", "snapshot": {"timestamp": "2026-11-20T10:00:00Z"}},
            user(0, [text("hello")]),
            {"type": "assistant", "message": {"id": 7, "content": "?", "usage": []}, "timestamp": 12},
            {"type": "user", "message": "no object"},
            lines(user(0, "half an emoji X"))[0].replace(b"X", b"\\ud83d"),
            block(1, "msg_1", text("hi")),
            {"type": "progress", "data": {"type": "hook_progress"}},
        )
    )
    assert reading.bad_lines == [3, 4]
    assert reading.conversation_id == SESSION
    assert [turn.key for turn in reading.turns] == ["msg_1"]


def test_who_served_it_is_told_by_the_id() -> None:
    found = turns(user(0, "a"), block(1, "msg_bdrk_01", text("b")), block(2, "msg_01", text("c")))
    assert [turn.provider for turn in found] == ["aws", "anthropic"]
