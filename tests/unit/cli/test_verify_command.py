"""`lunaroute verify`: exit codes and what is printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lunaroute.cli import _run
from tests.repriced import record
from tests.unit.verify.conftest import Store, traffic


@pytest.fixture
def store(tmp_path: Path) -> Store:
    record(tmp_path / "sessions", traffic(), {})
    return Store(tmp_path)


def _verify(store: Store, *arguments: str) -> int:
    return _run(["verify", f"--home={store.home}", *arguments])


def test_a_good_store_ends_with_0_and_one_line(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert _verify(store) == 0
    assert capsys.readouterr().out == "16 lines of 2 sessions: all is well\n"


def test_a_bad_one_ends_with_1_and_the_list(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    store.write([*store.lines(), b"torn"])
    assert _verify(store) == 1
    said = capsys.readouterr()
    assert said.out == f"{store.files[0]}: has bytes behind its last line\n"
    assert said.err.endswith("16 lines of 2 sessions: 1 problem\n")


def test_the_report_as_json(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    store.write([*store.lines(), b"torn"])
    assert _verify(store, "--json") == 1
    report = json.loads(capsys.readouterr().out)
    assert report["problems"] == [
        {"path": str(store.files[0]), "line_number": None, "problem": "has bytes behind its last line"}
    ]
    assert [head["line_count"] for head in report["heads"]] == [8, 8]


def test_heads_are_printed_and_compared(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _verify(store, "--chain", "--json") == 0
    kept = tmp_path / "heads.json"
    kept.write_text(capsys.readouterr().out)
    assert _verify(store, "--chain", f"--against={kept}") == 0
    store.files[0].unlink()
    capsys.readouterr()
    assert _verify(store, "--chain", f"--against={kept}") == 1
    assert "is gone, though its head was kept" in capsys.readouterr().out


def test_wrong_usage_ends_with_2(store: Store, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text("[]")
    assert _verify(store, f"--against={other}") == 2
    assert _verify(store, "--chain", f"--against={other}") == 2


def test_nothing_recorded_is_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(["verify", f"--home={tmp_path}"]) == 0
    assert capsys.readouterr().out == "0 lines of 0 sessions: all is well\n"
