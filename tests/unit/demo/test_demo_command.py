"""`lunaroute demo` without its processes: options, failures, what it prints."""

from __future__ import annotations

import importlib.util
import shlex
import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from rich.console import Console

from lunaroute.cli import demo
from lunaroute.demo.recorded import RecordedSession
from lunaroute.demo.run import AgentSummary, Progress
from lunaroute.demo.server import free_port
from lunaroute.errors import StartError

SESSION_ID = "019a0000-0000-7000-8000-000000000000"
SESSION = RecordedSession(
    session_id=SESSION_ID,
    tags=["claude-thinking"],
    client_name="anthropic-python",
    client_version="1",
    model_used="claude-x",
    model_requested="claude-x",
    request_count=9,
    error_count=1,
    input_tokens=12345,
    output_tokens=20,
    cache_read_tokens=None,
    thinking_tokens=5,
    tool_call_count=7,
    total_cost_usd=None,
    latency_ms=12.4,
    answered=9,
)


def test_missing_sdks_are_one_line_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "openai" else real(name))
    result = CliRunner().invoke(demo.demo_command, ["--exit"])
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert "pip install 'lunaroute[demo]'" in result.output


@pytest.mark.parametrize(
    "error", [StartError("the reason"), OSError("the reason"), ExceptionGroup("g", [ValueError("the reason")])]
)
def test_failures_are_one_line(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(demo, "_demo", fail)
    result = CliRunner().invoke(demo.demo_command, [])
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert "the reason" in result.output


def test_ctrl_c_ends_with_130_and_no_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "_demo", interrupted)
    result = CliRunner().invoke(demo.demo_command, [])
    assert (result.exit_code, result.output) == (130, "")


@pytest.mark.parametrize(("speed", "factor"), [("2", 0.5), ("0", 0.0), ("1", 1.0)])
def test_speed_divides_the_pauses(monkeypatch: pytest.MonkeyPatch, speed: str, factor: float) -> None:
    given: list[Any] = []
    monkeypatch.setattr(demo, "_demo", lambda *arguments: given.append(arguments))
    assert CliRunner().invoke(demo.demo_command, ["--speed", speed]).exit_code == 0
    assert given[0][-1] == factor


def test_a_taken_port_is_replaced_by_a_free_one() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) != port


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.zst"])
def test_the_queries_name_files_that_exist_and_can_be_pasted(tmp_path: Path, suffix: str) -> None:
    home = tmp_path / "with space"
    day = home / "sessions" / "2025-10-20"
    day.mkdir(parents=True)
    (day / f"{SESSION_ID}{suffix}").touch()
    jq, sqlite, listing = (shlex.split(query) for query in demo._queries(home, [SESSION]))
    assert str(day / f"{SESSION_ID}{suffix}") in jq
    assert jq[0] == ("jq" if suffix == ".jsonl" else "zstd")
    assert sqlite[1] == str(home / "sessions" / "sessions.db")
    assert listing == ["lunaroute", "sessions", "list", "--home", str(home)]


def test_the_table_tells_unknown_from_zero() -> None:
    console = Console(width=160, force_terminal=False)
    with console.capture() as captured:
        console.print(demo._table([SESSION], 160))
    assert captured.get().splitlines()[-1].split() == [
        *("claude-thinking", "anthropic-python", "1", "claude-x"),
        *("9", "1", "12,345", "20", "–", "5", "7", "–", "12"),
    ]


@pytest.mark.parametrize("width", [80, 100, 130, 200])
def test_the_table_fits_the_terminal_and_cuts_nothing(width: int) -> None:
    console = Console(width=width, force_terminal=False)
    with console.capture() as captured:
        console.print(demo._table([SESSION], width))
    assert "…" not in captured.get()
    for value in ("claude-thinking", "anthropic-python 1", "claude-x", "12,345"):
        assert value in captured.get()


def test_without_a_terminal_each_agent_is_one_line() -> None:

    console = Console(force_terminal=False)
    with console.capture() as captured, demo._progress(console) as on_progress:
        on_progress(Progress(name="a", request_count=1, doing="running grep"))
        on_progress(Progress(name="a", request_count=2, doing="done"))
    assert captured.get() == "a: 2 requests, done\n"


def test_on_a_terminal_progress_survives_every_stage() -> None:
    from lunaroute.demo.agent import AGENT_NAMES

    console = Console(force_terminal=True, width=100)
    with console.capture() as captured, demo._progress(console) as on_progress:
        on_progress(Progress(name=AGENT_NAMES[0], request_count=1, doing="running grep"))
        on_progress(Progress(name=AGENT_NAMES[0], request_count=2, doing="done"))
    assert AGENT_NAMES[0] in captured.get()


def test_the_report_says_that_the_numbers_agree_or_where_they_do_not(tmp_path: Path) -> None:
    agent = AgentSummary(
        name="claude-thinking",
        dialect="anthropic_messages",
        model="claude-x",
        request_count=9,
        error_count=1,
        input_tokens=12345,
        output_tokens=20,
        thinking_tokens=5,
        cache_read_tokens=0,
        cache_creation_tokens=0,
        tool_call_count=7,
        answer="",
    )
    console = Console(width=60, force_terminal=False)
    with console.capture() as captured:
        demo._report(console, tmp_path, [agent], [SESSION])
    assert "equal what their SDKs" in " ".join(captured.get().split())
    assert f"  {tmp_path / 'sessions' / 'sessions.db'}\n" in captured.get()
    with console.capture() as captured:
        demo._report(console, tmp_path, [msgspec.structs.replace(agent, output_tokens=21)], [SESSION])
    assert "differs: claude-thinking: output_tokens is 20" in captured.get()
