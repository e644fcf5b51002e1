"""`lunaroute import`."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lunaroute.cli import cli
from tests.unit.sinks.importing.test_transcripts import TOLD
from tests.unit.transcripts import rows
from tests.unit.transcripts.rows import lines


def run(tmp_path: Path, *words: str) -> Result:
    environment = {"LUNAROUTE_HOME": str(tmp_path / "home"), "HOME": str(tmp_path), "COLUMNS": "100"}
    return CliRunner().invoke(cli, list(words), env=environment)


def write(path: Path, *told: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\n".join(lines(*told)) + b"\n")  # type: ignore[arg-type]


def test_it_looks_where_the_clients_keep_their_transcripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLAUDE_CONFIG_DIR", raising=False)
    monkeypatch.delenv("CODEX_HOME", raising=False)
    write(tmp_path / ".claude" / "projects" / "-notes" / "a.jsonl", *TOLD)
    write(
        tmp_path / ".codex" / "sessions" / "2026" / "11" / "20" / "rollout-2026-11-20T10-00-00-b.jsonl",
        *(rows.meta(), rows.said(1, "user", "hi"), rows.said(2, "assistant", "hello")),
    )
    claude, codex = run(tmp_path, "import", "claude-code"), run(tmp_path, "import", "codex")
    assert claude.stdout == "1 sessions with 2 exchanges imported from 1 files.\n"
    assert codex.stdout == "1 sessions with 1 exchanges imported from 1 files.\n"
    again = run(tmp_path, "import", "claude-code")
    assert again.stdout == "0 sessions with 0 exchanges imported from 1 files; 2 recorded already.\n"
    listed = run(tmp_path, "sessions", "list", "source:transcript client:codex", "--csv")
    assert len(listed.stdout.splitlines()) == 2
    assert run(tmp_path, "sessions", "list", "source:wire").stdout == "No session matches.\n"
    assert "client's own transcript" in run(tmp_path, "sessions", "show", _first(tmp_path)).output


def test_bytes_that_nobody_saw_are_not_made_up(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", *TOLD)
    run(tmp_path, "import", "claude-code", str(tmp_path / "a.jsonl"))
    for option in ("--curl", "--response"):
        refused = run(tmp_path, "sessions", "raw", _first(tmp_path), option)
        assert (refused.exit_code, refused.output.count("\n")) == (1, 1)
        assert "no bytes of the wire" in refused.output


def test_another_home_is_brought_in(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", *TOLD)
    run(tmp_path, "import", "claude-code", str(tmp_path / "a.jsonl"))
    there = str(tmp_path / "home")
    done = run(tmp_path, "import", "lunaroute", there, "--home", str(tmp_path / "other"))
    assert done.stdout == "1 sessions with 2 exchanges imported from 1 files.\n"


@pytest.mark.parametrize("words", [("claude-code", "nowhere"), ("lunaroute", "nowhere"), ("lunaroute",), ("gemini",)])
def test_what_is_not_there_is_a_line_and_exit_code_2(tmp_path: Path, words: tuple[str, ...]) -> None:
    refused = run(tmp_path, "import", *words)
    assert refused.exit_code == 2
    assert refused.output.splitlines()[-1].startswith("Error: ")


def _first(tmp_path: Path) -> str:
    return next((tmp_path / "home" / "sessions").glob("*/*.jsonl")).stem
