"""Codex's rollouts: lines in, turns out."""

from __future__ import annotations

from typing import Any

from lunaroute.transcripts.codex import read_codex
from lunaroute.transcripts.turn import Turn

from .rows import SESSION, counts, item, lines, meta, record, rollout, said, shell_call, shell_output

CONTEXT = rollout(0, "turn_context", model="gpt-5-codex", cwd="/home/ada/notes")
FIRST, SECOND = (100, 20, 50, 10), (220, 100, 30, 0)


def turns(*rows: Any) -> list[Turn]:
    return read_codex(lines(*rows)).turns


def usages(found: list[Turn]) -> list[tuple[int, int] | None]:
    return [
        (turn.response["usage"]["input_tokens"], turn.response["usage"]["output_tokens"])
        if "usage" in turn.response
        else None
        for turn in found
    ]


def test_an_answer_is_what_the_model_says_between_what_others_say() -> None:
    first, second = turns(
        meta(),
        CONTEXT,
        said(1, "user", "what is here?"),
        item(2, type="reasoning", summary=[{"type": "summary_text", "text": "Look."}], encrypted_content="gAAA"),
        shell_call(3, "call_1"),
        shell_call(3, "call_2"),
        shell_output(4, "call_1"),
        shell_output(5, "call_2"),
        said(7, "assistant", "One file."),
    )
    assert [one["type"] for one in first.response["output"]] == ["reasoning", "function_call", "function_call"]
    assert [one["type"] for one in second.request["input"]] == ["function_call_output", "function_call_output"]
    assert (first.model, first.provider, first.client_version) == ("gpt-5-codex", "openai", "0.65.0")
    assert second.returned_ns["call_2"] - first.called_ns["call_2"] == 2_000_000_000
    assert (first.began_ns, first.ended_ns) == (first.called_ns["call_1"] - 2_000_000_000, first.called_ns["call_1"])


def test_a_usage_record_names_the_answer_that_it_ends() -> None:
    found = turns(
        meta(),
        said(1, "user", "what is here?"),
        shell_call(2, "call_1"),
        record(3, "resp_1", *FIRST),
        shell_output(4, "call_1"),
        counts(4, FIRST),
        said(5, "assistant", "One file."),
        record(6, "resp_2", *SECOND),
        counts(6, FIRST, SECOND),
        record(7, "resp_of_a_compaction", *FIRST),
    )
    assert [turn.response_id for turn in found] == ["resp_1", "resp_2"]
    assert usages(found) == [(100, 50), (220, 30)]


def test_counts_belong_to_the_answer_before_them_whether_or_not_results_stand_between() -> None:
    with_results_between = turns(
        meta(),
        said(1, "user", "what is here?"),
        counts(1, (0, 0, 0, 0)) | {"payload": {"type": "token_count", "info": None}},
        shell_call(2, "call_1"),
        shell_output(4, "call_1"),
        counts(4, FIRST),
        counts(4.5, FIRST),
        said(5, "assistant", "One file."),
        counts(6, FIRST, SECOND),
    )
    at_once = turns(
        meta(),
        said(1, "user", "what is here?"),
        shell_call(2, "call_1"),
        counts(2, FIRST),
        shell_output(4, "call_1"),
        said(5, "assistant", "One file."),
        counts(6, FIRST, SECOND),
        rollout(7, "compacted", message="so far …"),
        counts(8, FIRST, SECOND, (9, 0, 9, 0)),
    )
    assert usages(with_results_between) == usages(at_once) == [(100, 50), (220, 30)]


def test_in_oldest_files_counts_come_before_the_items_of_their_answer() -> None:
    found = turns(
        meta(),
        said(1, "user", "what is here?"),
        counts(2, FIRST),
        shell_call(3, "call_1"),
        shell_output(3, "call_1"),
        counts(4, FIRST, SECOND),
        said(5, "assistant", "One file."),
    )
    assert usages(found) == [(100, 50), (220, 30)]


def test_a_repetition_of_the_totals_ends_no_answer() -> None:
    (turn,) = turns(meta(), said(1, "user", "hi"), said(2, "assistant", "one"), counts(3, FIRST))
    again = turns(meta(), said(1, "user", "hi"), said(2, "assistant", "one"), counts(3, FIRST), counts(4, FIRST))
    assert again == [turn]


def test_lines_without_an_envelope_are_those_of_the_oldest_versions() -> None:
    (turn,) = turns(
        {"id": SESSION, "timestamp": "2025-05-07T17:24:21.123Z", "instructions": None},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        {"record_type": "state"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hello"}]},
    )
    assert turn.response["output"][0]["content"][0]["text"] == "hello"


def test_a_sub_agent_belongs_to_the_session_it_says() -> None:
    reading = read_codex(
        lines(
            meta(session_id="01a2-root", source={"subagent": {"thread_spawn": {"parent_thread_id": "01a2-root"}}}),
            meta(1) | {"payload": {"id": "history-it-began-with"}},
            said(2, "user", "count"),
            said(3, "assistant", "Two."),
        )
    )
    (turn,) = reading.turns
    assert reading.conversation_id == "01a2-root"
    assert (turn.thread_id, turn.parent_thread_id) == (SESSION, "01a2-root")


def test_the_provider_of_our_own_set_up_is_openai() -> None:
    (turn,) = turns(meta(model_provider="lunaroute"), said(1, "user", "hi"), said(2, "assistant", "hello"))
    assert turn.provider == "openai"


def test_broken_lines_are_named_and_stop_nothing() -> None:
    reading = read_codex(
        lines(
            meta(), b"{", rollout(0, "response_item", type=7), b'"x"', said(1, "user", "hi"), said(2, "assistant", "o")
        )
    )
    assert reading.bad_lines == [2, 4]
    assert len(reading.turns) == 1
