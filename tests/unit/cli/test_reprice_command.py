from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lunaroute.cli import _run
from lunaroute.cli.prune import prune_command
from lunaroute.cli.reprice import reprice_command
from tests.repriced import contents, record
from tests.unit.sinks.test_reprice import traffic


@pytest.fixture
def home(tmp_path: Path) -> Path:
    record(tmp_path / "sessions", traffic(), {})
    return tmp_path


def run(home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(reprice_command, ["--home", str(home), *arguments], env={"COLUMNS": "100"})


def test_it_shows_old_and_new_dollars_of_each_model_and_changes_the_files(home: Path) -> None:
    (home / "config.toml").write_text('[prices."anthropic/claude-haiku-4-5"]\ninput_mtok = 100\noutput_mtok = 1000\n')
    before = contents(home / "sessions")

    dry = run(home, "--dry-run")
    assert dry.exit_code == 0
    assert "would change, 1 not over yet" in dry.stdout
    assert contents(home / "sessions") == before

    done = run(home)
    assert done.exit_code == 0
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["model", "provider", "exchanges", "old", "new", "difference", "unpriced"]
    assert lines[1] == ["claude-haiku-4-5", "anthropic", "4", "$0.0042", "$0.4408", "$0.4366"]
    assert lines[2] == ["claude-haiku-4-5", "my-gateway", "2", "–", "–", "$0.0000", "2", "→", "2"]
    assert lines[3][:2] == ["all", "6"]
    assert done.stdout.splitlines()[-1].startswith("2 of 4 sessions changed, 1 not over yet. Prices: genai-prices ")
    assert contents(home / "sessions") != before

    again = run(home)
    assert "0 of 4 sessions changed" in again.stdout


def test_it_says_that_stores_keep_what_they_were_sent(home: Path) -> None:
    assert "only this home" not in run(home).stderr
    (home / "config.toml").write_text('[sinks.clickhouse]\nurl = "clickhouse://127.0.0.1:9/x"\n')
    said = "only this home is changed; what was sent to [sinks.clickhouse] stays there as it was sent"
    assert said in run(home).stderr
    assert said in CliRunner().invoke(prune_command, ["--home", str(home)]).stderr


def test_nothing_recorded_yet(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert (result.exit_code, result.stdout) == (0, "Nothing recorded yet, so there is nothing to price.\n")


def test_a_file_that_is_not_whole_is_named_on_stderr(home: Path) -> None:
    day = min(path for path in (home / "sessions").iterdir() if path.is_dir())
    path = min(day.iterdir())
    path.write_bytes(b"broken\n" + path.read_bytes())
    result = run(home)
    assert result.exit_code == 0
    assert f"left alone: {path}:1: " in result.stderr


def test_settings_that_are_wrong_end_with_2(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "config.toml").write_text('[prices."anthropic/x"]\ninput = 1\n')
    assert _run(["reprice", "--home", str(home)]) == 2
    assert "did you mean 'input_mtok'?" in capsys.readouterr().err
    assert _run(["reprice", "--home", str(home), "--nonsense"]) == 2
