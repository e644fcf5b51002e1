"""`lunaroute sessions list|show` and `lunaroute reindex`, as people meet them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from lunaroute.cli.reindex import reindex_command
from lunaroute.cli.sessions import sessions_group
from lunaroute.sinks.layout import plain_path
from lunaroute.sinks.session_file import zstd
from tests.builders import TEN_OCLOCK, SessionScript

from .conftest import record

Scripts = dict[str, SessionScript]


def _run(home: Path, *words: str, command: click.Command = sessions_group) -> Result:
    environment = {"LUNAROUTE_HOME": str(home), "COLUMNS": "80", "TERM": "dumb"}
    return CliRunner().invoke(command, words, env=environment, catch_exceptions=False)


def _json(home: Path, *words: str) -> Any:
    result = _run(home, *words, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_list_fits_80_columns_and_shows_each_session(home: Path, scripts: Scripts) -> None:
    result = _run(home, "list")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert max(len(line) for line in lines) <= 80
    for script in scripts.values():
        assert script.session_id[:13] in result.stdout
    (old,) = [line for line in lines if "11-19 10:00" in line]
    for word in ("ok", "claude-sonnet", "2.6k", "$0.0223", "what do"):
        assert word in old, word
    assert "live" in result.stdout
    assert "fail" in result.stdout


def test_a_list_as_json_has_every_field_in_full(home: Path, scripts: Scripts) -> None:
    listed = _json(home, "list", "--provider", "anthropic")
    assert [one["session_id"] for one in listed] == [scripts["live"].session_id, scripts["old"].session_id]
    assert listed[1]["started_at"] == "2026-11-19 10:00:00.000000"
    assert listed[1]["tags"] == ["nightly"]
    assert listed[0]["total_tokens"] is None


def test_a_list_as_csv_has_a_header_and_a_line_per_session(home: Path, scripts: Scripts) -> None:
    rows = list(csv.DictReader(io.StringIO(_run(home, "list", "--csv").stdout)))
    assert [row["session_id"] for row in rows] == [scripts[name].session_id for name in ("live", "failed", "old")]
    assert rows[1]["first_text"] == "100% sure?"


def test_csv_cells_are_never_formulas(tmp_path: Path) -> None:
    record(tmp_path, SessionScript().turn("=HYPERLINK(evil)"))
    (row,) = csv.DictReader(io.StringIO(_run(tmp_path, "list", "--csv").stdout))
    assert row["first_text"] == "'=HYPERLINK(evil)"


def test_a_list_can_be_narrowed(home: Path, scripts: Scripts) -> None:
    assert len(_json(home, "list", "--limit", "2")) == 2
    assert len(_json(home, "list", "--since", "2026-11-22", "--until", "2026-11-22T10:30")) == 1
    assert "No session matches" in _run(home, "list", "--model", "zzz").stdout


def test_sessions_of_the_same_millisecond_are_told_apart(tmp_path: Path) -> None:
    twins = [SessionScript("one", TEN_OCLOCK), SessionScript("two", TEN_OCLOCK)]
    record(tmp_path, *twins)
    shown = [line.split()[0] for line in _run(tmp_path, "list").stdout.splitlines() if "11-22" in line]
    assert len(set(shown)) == 2
    for prefix in shown:
        assert _run(tmp_path, "show", prefix).exit_code == 0


@pytest.mark.parametrize("output", [[], ["--json"], ["--csv"]])
def test_an_empty_store_is_no_error(tmp_path: Path, output: list[str]) -> None:
    result = _run(tmp_path / "nowhere", "list", *output)
    assert result.exit_code == 0
    friendly = {"": "Nothing recorded yet", "--json": "[]", "--csv": "session_id,"}
    assert result.stdout.startswith(friendly["".join(output)])
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["list", "--since", "someday"], "'someday' is no time"),
        (["list", "--limit", "0"], "--limit 0"),
        (["list", "--limit", "many"], "--limit many"),
        (["show", "ffff"], "no session has an id that starts with 'ffff'"),
        (["show", "../../etc/passwd"], "is no session id"),
        (["show", "0"], "could be"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(home: Path, words: list[str], said: str) -> None:
    result = _run(home, *words)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_a_damaged_index_is_one_line_and_exit_code_1(home: Path) -> None:
    (home / "sessions" / "sessions.db").write_bytes(b"nonsense" * 1000)
    result = _run(home, "list")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)


def test_show_tells_the_session_turn_by_turn(home: Path, scripts: Scripts) -> None:
    result = _run(home, "show", scripts["old"].session_id[:13])
    assert result.exit_code == 0
    text = result.stdout
    assert max(len(line) for line in text.splitlines()) <= 80
    in_order = ["what do the notes say?", "Let me look.", "notes.txt", "buy milk", "no such target", "They say"]
    places = [text.index(part) for part in in_order]
    assert places == sorted(places)
    for part in ("#1", "#2", "$0.0123", "1.2k in, 80 out", "100.0 ms", "failed", "nightly", "2 tool calls"):
        assert part in text, part


def test_show_tells_of_failures_and_of_what_is_still_open(home: Path, scripts: Scripts) -> None:
    assert "http_error: Overloaded" in _run(home, "show", scripts["failed"].session_id).stdout
    live = _run(home, "show", scripts["live"].session_id).stdout
    assert "no response yet" in live
    assert "still running" in live


def test_show_as_json_has_the_turns_and_the_final_numbers(home: Path, scripts: Scripts) -> None:
    shown = _json(home, "show", scripts["old"].session_id)
    assert shown["session"]["request_count"] == 2
    assert [turn["response_text"] for turn in shown["turns"]] == ["Let me look.", "They say: buy milk."]
    calls = shown["turns"][0]["tool_calls"]
    assert [(call["tool_name"], call["success"], call["output_text"]) for call in calls] == [
        ("Read", True, "buy milk"),
        ("Bash", False, "no such target"),
    ]
    assert shown["final_stats"]["total_tokens"]["total"] == 2600


def test_show_reads_a_compressed_session_unasked(home: Path, scripts: Scripts) -> None:
    path = plain_path(home / "sessions", scripts["old"].session_id)
    before = _run(home, "show", scripts["old"].session_id).stdout
    path.with_suffix(".jsonl.zst").write_bytes(zstd.compress(path.read_bytes()))
    path.unlink()
    assert _run(home, "show", scripts["old"].session_id).stdout == before


def test_show_without_the_file_says_so(home: Path, scripts: Scripts) -> None:
    plain_path(home / "sessions", scripts["old"].session_id).unlink()
    result = _run(home, "show", scripts["old"].session_id)
    assert result.exit_code == 2
    assert "is not in" in result.stderr


def test_recorded_text_cannot_command_the_terminal(tmp_path: Path) -> None:
    script = SessionScript().turn("\x1b]0;owned\x07 [bold]not markup[/bold]", "\x1b[2J\u202egnp.exe")
    record(tmp_path, script)
    for words in (["list"], ["show", script.session_id]):
        text = _run(tmp_path, *words).stdout
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert "[bold]not markup[/bold]" in text


def test_reindex_makes_the_index_anew(home: Path) -> None:
    before = _json(home, "list")
    (home / "sessions" / "sessions.db").unlink()
    result = _run(home, command=reindex_command)
    assert (result.exit_code, result.stdout) == (0, "14 events of 3 sessions indexed.\n")
    assert _json(home, "list") == before


def test_reindex_names_what_it_leaves_out(home: Path, scripts: Scripts) -> None:
    path = plain_path(home / "sessions", scripts["live"].session_id)
    with path.open("ab") as file:
        file.write(b"garbage\n")
    result = _run(home, command=reindex_command)
    assert result.exit_code == 0
    assert result.stdout == "14 events of 3 sessions indexed, 1 left out.\n"
    assert f"passed over {path}:3: " in result.stderr


def test_reindex_of_nothing_is_no_error(tmp_path: Path) -> None:
    result = _run(tmp_path / "nowhere", command=reindex_command)
    assert (result.exit_code, result.stdout.count("\n")) == (0, 1)
    assert not (tmp_path / "nowhere").exists()
