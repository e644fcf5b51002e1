"""The commands that ask: every listing in every form, and mistakes in one line."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import subprocess
from pathlib import Path

import click
import msgspec
import pytest
from click.testing import CliRunner, Result

from lunaroute.archive.compress import compress_all
from lunaroute.cli import cli
from lunaroute.events.types import RequestRecorded, ResponseRecorded
from lunaroute.sinks.jsonl import JsonlSink
from lunaroute.sinks.sqlite.sink import SqliteSink
from tests.builders import SessionScript
from tests.unit.recorder.test_context_economics import events_of, turn, usage

from .conftest import record

Scripts = dict[str, SessionScript]


def _run(home: Path, *words: str, command: click.Command = cli) -> Result:
    environment = {"LUNAROUTE_HOME": str(home), "COLUMNS": "100", "TERM": "dumb"}
    return CliRunner().invoke(command, words, env=environment)


LISTINGS = ["sessions list", "stats", "cost", "models", "latency", "tools", "search notes"]


@pytest.mark.parametrize("listing", LISTINGS)
def test_every_listing_has_three_forms_and_all_filters(home: Path, listing: str) -> None:
    filters = ["--since", "2026-11-01", "--until", "2027-01-01", "--provider", "anthropic", "--model", "claude"]
    filters += ["--client", "claude-code"]
    table = _run(home, *listing.split(), *filters)
    assert (table.exit_code, table.stderr) == (0, "")
    assert len(table.stdout.splitlines()) >= 2
    found = json.loads(_run(home, *listing.split(), *filters, "--json").stdout)
    rows = list(csv.DictReader(io.StringIO(_run(home, *listing.split(), *filters, "--csv").stdout)))
    assert len(found) == len(rows) > 0
    assert list(found[0]) == list(rows[0])


@pytest.mark.parametrize("listing", LISTINGS)
def test_nothing_recorded_is_no_error(tmp_path: Path, listing: str) -> None:
    result = _run(tmp_path / "nowhere", *listing.split(), "--json")
    assert (result.exit_code, result.stdout) == (0, "[]\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["stats", "modle:x"], "did you mean 'model'"),
        (["cost", "--model", "claude-sonet-4-5"], "did you mean 'claude-sonnet-4-5'"),
        (["latency", "cost:cheap"], "say e.g. cost:>0.5"),
        (["tools", "--outcome", "complete"], "did you mean 'completed'"),
        (["tools", "cost:>1"], "is no filter of tool calls"),
        (["search", "error:true"], "say which words"),
        (["sql", "DELETE FROM sessions"], "only reading is possible"),
        (["sql", "SELECT nme FROM sessions"], "there is no column 'nme'"),
        (["sessions", "raw", "ffff"], "no exchange has an id"),
        (["sessions", "raw", "0"], "could be"),
        (["sessions", "export", "ffff"], "no session has an id"),
        (["sessions", "list", "--after", "x"], "no place to go on from"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(home: Path, words: list[str], said: str) -> None:
    result = _run(home, *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_words_with_spaces_are_one_phrase(home: Path) -> None:
    assert len(json.loads(_run(home, "sessions", "list", "the notes", "--json").stdout)) == 1
    assert json.loads(_run(home, "sessions", "list", "notes the", "--json").stdout) == []
    assert len(json.loads(_run(home, "sessions", "list", "notes tool:Bash", "--json").stdout)) == 1
    assert len(json.loads(_run(home, "sessions", "list", "notes -milk", "--json").stdout)) == 0
    assert len(json.loads(_run(home, "sessions", "list", "--text", "buy milk", "--json").stdout)) == 1


def test_sums_are_right(home: Path) -> None:
    (row,) = json.loads(_run(home, "cost", "--json", "model:claude*").stdout)
    assert (row["requests"], row["input_tokens"], row["total_cost_usd"]) == (2, 2500, pytest.approx(0.0223))
    tools = {row["tool"]: row for row in json.loads(_run(home, "tools", "--json").stdout)}
    assert (tools["Bash"]["error_count"], tools["Read"]["call_count"]) == (1, 1)


def test_sql_answers_and_lists_its_schema(home: Path) -> None:
    assert json.loads(_run(home, "sql", "SELECT 1 AS a, NULL AS b", "--json").stdout) == [{"a": 1, "b": None}]
    assert _run(home, "sql", "SELECT 'x' AS a", "--csv").stdout == "a\nx\n"
    assert "session_stats" in _run(home, "sql", ".schema").stdout
    cut = _run(home, "sql", "SELECT session_id FROM sessions", "--limit", "1")
    assert "cut after 1 rows" in cut.stderr


def test_raw_gives_the_bytes_of_the_wire(home: Path, scripts: Scripts) -> None:
    request = next(event for event in scripts["old"].events if isinstance(event, RequestRecorded))
    response = next(event for event in scripts["old"].events if isinstance(event, ResponseRecorded))
    sent = _run(home, "sessions", "raw", request.request_id).stdout_bytes
    assert hashlib.sha256(sent).hexdigest() == request.body_sha256
    assert _run(home, "sessions", "raw", scripts["old"].session_id).stdout_bytes == sent
    changed = _run(home, "sessions", "raw", response.request_id, "--response")
    assert (changed.exit_code, "the file was changed" in changed.stderr) == (1, True)


def test_curl_is_a_command_a_shell_understands(home: Path, scripts: Scripts) -> None:
    line = _run(home, "sessions", "raw", scripts["old"].session_id, "--curl").stdout
    script = f"curl() {{ printf '%s\\n' \"$@\"; }}\nANTHROPIC_API_KEY=k\n{line}"
    words = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout.splitlines()
    assert words[:3] == ["-X", "POST", "http://127.0.0.1:8081/v1/messages"]
    assert words[-2:] == ["--data-binary", '{"messages":[]}']
    assert "x-api-key: k" in words


def test_show_folds_thinking_and_unfolds_it(tmp_path: Path) -> None:
    script = SessionScript().turn("why?", "because")
    answer = next(one for one in script.events if isinstance(one, ResponseRecorded))
    thought = msgspec.structs.replace(answer, thinking_text="let me see\nit follows")
    script.events[script.events.index(answer)] = thought
    record(tmp_path, script)
    folded = _run(tmp_path, "sessions", "show", script.session_id, "--no-pager").stdout
    assert "let me see" not in folded
    assert "2 lines" in folded
    assert "because" in folded
    unfolded = _run(tmp_path, "sessions", "show", script.session_id, "--thinking", "--no-pager").stdout
    assert "let me see" in unfolded


def test_show_says_where_cache_was_lost_why_and_for_how_much(tmp_path: Path) -> None:
    events = events_of(
        turn(1, 0, ["a"], usage(0, 5_000)),
        turn(2, 1_000, ["a", "b", "c"], usage(0, 5_200), system="Now it is noon."),
        turn(3, 2_000, ["a", "b", "c", "d", "e"], usage(5_200, 100), system="Now it is noon."),
    )
    for sink in (
        JsonlSink(tmp_path / "sessions"),
        SqliteSink(tmp_path / "sessions" / "sessions.db", tmp_path / "sessions"),
    ):
        sink.open()
        sink.write_batch(events)
        sink.close()
    shown = _run(tmp_path, "sessions", "show", events[0].session_id, "--no-pager").stdout
    lost = [line for line in " ".join(shown.split()).split("#")[1:] if "cache lost" in line]
    assert len(lost) == 1
    assert lost[0].startswith("2 ")
    assert "cache lost: 5.0k tokens read anew (system changed, $0.0057)" in lost[0]
    turns = json.loads(_run(tmp_path, "sessions", "show", events[0].session_id, "--json").stdout)["turns"]
    assert [one["cache_lost_tokens"] for one in turns] == [None, 5_000, None]


def test_tail_shows_the_newest_events(home: Path, scripts: Scripts) -> None:
    lines = _run(home, "tail", "--limit", "2").stdout.splitlines()
    assert [line.split()[2] for line in lines] == ["started", "request"]
    raw = _run(home, "tail", "--json", "--session", scripts["failed"].session_id).stdout.splitlines()
    assert [json.loads(line)["type"] for line in raw] == [
        *("started", "request_recorded", "response_recorded", "completed")
    ]


def test_export_writes_a_file(home: Path, scripts: Scripts, tmp_path: Path) -> None:
    path = tmp_path / "session.html"
    result = _run(home, "sessions", "export", scripts["old"].session_id[:13], "--format", "html", "-o", str(path))
    assert (result.exit_code, result.stdout) == (0, "")
    assert "buy milk" in path.read_text()


def test_storage_names_every_part_and_table_and_adds_up(home: Path, scripts: Scripts) -> None:
    compress_all(home / "sessions")
    parts = {one["name"]: one for one in json.loads(_run(home, "stats", "--storage", "--json").stdout)}
    over = [script for script in scripts.values() if script.events[-1].__class__.__name__ == "Completed"]
    assert parts["sessions, compressed"]["items"] == len(over)
    assert parts["sessions, plain"]["items"] == len(scripts) - len(over) > 0
    blocks = sum(path.stat().st_blocks * 512 for path in (home / "sessions").rglob("*.zst"))
    assert parts["sessions, compressed"]["disk_bytes"] == blocks
    tables = {name: one for name, one in parts.items() if name.startswith("index: ")}
    assert tables["index: sessions"]["items"] == len(scripts)
    assert 0 < sum(one["disk_bytes"] for one in tables.values()) <= parts["index"]["disk_bytes"]
    assert parts["index"]["bytes_per_exchange"] > 100
    assert "sessions, compressed" in _run(home, "stats", "--storage").stdout
    wrong = _run(home, "stats", "--storage", "provider:anthropic")
    assert (wrong.exit_code, "leave out the filter" in wrong.stderr) == (2, True)
