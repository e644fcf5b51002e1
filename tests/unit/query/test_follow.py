"""The newest events, read from the ends of files, and those that come."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lunaroute.cli import cli
from lunaroute.errors import FilterError
from lunaroute.events import decode_event, encode_event
from lunaroute.query import follow
from lunaroute.query.event_filter import EventFilter
from lunaroute.query.follow import Follower
from lunaroute.query.grammar import parse_filter
from lunaroute.sinks.jsonl import JsonlSink
from lunaroute.sinks.layout import plain_path
from tests.builders import TEN_OCLOCK, Call, SessionScript, tokens

from .conftest import record

NOW = datetime.now(UTC)


def _run(home: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, ["tail", *words, "--home", str(home)], env={"COLUMNS": "160"})


def _told(home: Path, text: str, limit: int = 100) -> list[str]:
    """`type` of the events that a filter keeps, the newest last."""
    follower = Follower(home / "sessions", EventFilter(parse_filter(text, NOW)))
    return [json.loads(line)["type"].removesuffix("_recorded") for line in follower.newest(limit)]


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    """One session with a tool that fails, one that failed and is of another client."""
    bash = Call("Bash", "c1", '{"cmd": "make"}')
    one = SessionScript("one", TEN_OCLOCK, tags=["nightly"])
    one.turn("mend the build", "Let me see.", tokens=tokens(1200, 80, 30), cost_usd=0.6, calls=[bash], latency_ms=3000)
    one.result(bash, "no rule to make target", success=False)
    one.turn("", "There is no target.", tokens=tokens(100, 20), cost_usd=0.01).complete()
    two = SessionScript("two", TEN_OCLOCK + timedelta(hours=1), model="gpt-5", provider="openai", client="codex")
    two.turn("hello", "", outcome="http_error", error="Overloaded")
    record(tmp_path, one, two)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "",
            [
                *[
                    "started",
                    "request",
                    "response",
                    "tool_call",
                    "request",
                    "response",
                    "completed",
                    "started",
                    "request",
                    "response",
                ]
            ],
        ),
        ("client:codex", ["started", "request", "response"]),
        ("tag:nightly -tool:Bash cost:>0.5", ["completed"]),
        ("cost:>0.5", ["response", "completed"]),
        ("tool:bash", ["response", "tool_call"]),
        ("tool:B* error:true", ["tool_call"]),
        ("error:true", ["tool_call", "response"]),
        ("outcome:http_error", ["response"]),
        ("latency:>2s", ["response"]),
        ("tokens:100..200", ["response"]),
        ("provider:openai,google", ["started", "request", "response"]),
        ("source:transcript", []),
        ('"no rule" client:claude-code', ["tool_call"]),
        ('"rule no"', []),
        ("targ*", ["tool_call", "response"]),
        ("model:gpt -error:true", ["started", "request"]),
        ("since:2026-11-22T10:30", ["started", "request", "response"]),
        ("until:2026-11-22T10:30 tool:Bash", ["response", "tool_call"]),
    ],
)
def test_events_are_kept_by_what_they_or_their_session_say(agent: Path, text: str, expected: list[str]) -> None:
    assert _told(agent, text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("live:true", "live: is no filter of events"),
        ("requests:>3", "requests: is no filter of events"),
        ("kind:user", "kind: is no filter of events"),
        ("modle:x", "did you mean 'model'?"),
        ("outcome:http_eror", "did you mean 'http_error'?"),
    ],
)
def test_what_events_do_not_have_is_a_line_and_exit_code_2(agent: Path, text: str, said: str) -> None:
    refused = _run(agent, text)
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert said in refused.stderr
    if "modle" not in text and "eror" not in text:
        with pytest.raises(FilterError):
            EventFilter(parse_filter(text, NOW))


def test_csv_has_a_line_for_each_event(agent: Path) -> None:
    rows = list(csv.DictReader(_run(agent, "--csv", "tool:Bash").stdout.splitlines(keepends=True)))
    assert [row["type"] for row in rows] == ["response_recorded", "tool_call_recorded"]
    assert [row["tokens"] for row in rows] == ["1280", ""]
    assert (rows[1]["success"], rows[1]["text"]) == ("False", "no rule to make target")


@pytest.mark.parametrize("block_bytes", [1, 7, 64, 1 << 20])
def test_lines_are_read_backwards_whole_whatever_the_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    monkeypatch.setattr(follow, "_BLOCK_BYTES", block_bytes)
    path = tmp_path / "file"
    for lines, tail in (([], b""), ([], b"torn"), ([b"one"], b""), ([b"one", b"", b"x" * 300, b"\r\xff"], b"torn")):
        data = b"".join(line + b"\n" for line in lines) + tail
        path.write_bytes(data)
        found = list(follow.lines_backwards(path))
        assert [line for _, line in found] == lines[::-1]
        for end, line in found:
            assert data[end - len(line) - 1 : end] == line + b"\n"


def test_of_large_files_only_the_ends_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = SessionScript("long")
    for number in range(200):
        script.turn(f"question {number}", "x" * 1000)
    record(tmp_path, script)
    read = 0
    original = follow._decoded_head

    def counted(line: bytes) -> object:
        nonlocal read
        read += 1
        return original(line)

    monkeypatch.setattr(follow, "_decoded_head", counted)
    assert len(_told(tmp_path, "", limit=5)) == 5
    assert read < 20


def test_bad_lines_are_passed_over(agent: Path) -> None:
    (path, *_) = sorted((agent / "sessions").glob("*/*.jsonl"))
    path.write_bytes(b"no json\n" + path.read_bytes() + b'{"type":"started"}\n')
    assert len(_told(agent, "")) == 10


def test_what_comes_is_told_once_and_only_as_whole_lines(tmp_path: Path) -> None:
    script = SessionScript("one").turn("a", "b").turn("c", "d")
    record(tmp_path, SessionScript("zero").turn())
    follower = Follower(tmp_path / "sessions", EventFilter(parse_filter("", NOW)))
    follower.newest(3)
    assert list(follower.poll()) == []
    path = plain_path(tmp_path / "sessions", script.session_id)
    lines = [encode_event(event) + b"\n" for event in script.events]
    with path.open("ab") as file:
        file.write(lines[0] + lines[1][:10])
        file.flush()
        assert [decode_event(line) for line in follower.poll()] == script.events[:1]
        file.write(lines[1][10:] + lines[2])
        file.flush()
        assert [decode_event(line) for line in follower.poll()] == script.events[1:3]
        assert list(follower.poll()) == []


def test_f_follows_with_the_filter(tmp_path: Path) -> None:
    first = SessionScript("first").turn("old", "b", tokens=tokens(5, 5))
    record(tmp_path, first)
    command = [sys.executable, "-m", "lunaroute", "tail", "-f", "--json", "tokens:>10", "--home", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    try:
        assert process.stdout is not None
        later = SessionScript("later", TEN_OCLOCK + timedelta(minutes=1))
        later.turn("few", "x", tokens=tokens(1, 1)).turn("many", "y", tokens=tokens(50, 5))
        sink = JsonlSink(tmp_path / "sessions")
        sink.open()
        sink.write_batch(later.events)
        sink.close()
        told = json.loads(process.stdout.readline())
        assert (told["type"], told["session_id"]) == ("response_recorded", later.session_id)
        assert told["stats"]["tokens"]["total_tokens"] == 55
    finally:
        process.terminate()
        process.wait(timeout=30)
        assert process.stdout is not None
        process.stdout.close()
