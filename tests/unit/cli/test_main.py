"""The command as a whole: exit codes, one line per failure."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lunaroute import __version__, cli
from lunaroute.errors import ConfigError, StartError


def _lunaroute(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lunaroute", *arguments],
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_version() -> None:
    assert _lunaroute("--version").stdout == f"lunaroute {__version__}\n"


def test_wrong_usage_is_exit_code_2() -> None:
    for arguments in (["nonsense"], ["serve", "--nonsense"], ["serve", "--port", "x"], ["run"]):
        result = _lunaroute(*arguments)
        assert (result.returncode, result.stdout) == (2, "")
        assert "Error: " in result.stderr


@pytest.mark.parametrize("command", [["serve"], ["env"], ["run", "true"], ["stop"], ["status"]])
def test_no_command_starts_on_a_wrong_setting(tmp_path: Path, command: list[str]) -> None:
    result = _lunaroute(*command, LUNAROUTE_HOME=str(tmp_path / "home"), LUNAROUTE_PROT="1")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "lunaroute: LUNAROUTE_PROT: no such setting; did you mean LUNAROUTE_PORT?\n"
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ConfigError("key x"), 2, "lunaroute: key x\n"),
        (StartError("port taken"), 1, "lunaroute: port taken\n"),
        (PermissionError(13, "Permission denied", "/f"), 1, "lunaroute: /f: Permission denied\n"),
        (KeyboardInterrupt(), 130, "\n"),
    ],
)
def test_failure_is_one_line_and_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, line: str
) -> None:
    assert _main_that_raises(monkeypatch, error) == code
    assert capsys.readouterr().err == line


def test_defect_of_ours_is_one_line_with_its_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _main_that_raises(monkeypatch, KeyError("x")) == 1
    said = capsys.readouterr().err
    assert said.startswith("lunaroute: unexpected KeyError at test_main.py:")
    assert len(said.splitlines()) == 1


def _main_that_raises(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int | str | None:
    def fail(ctx: object, cmd_name: str) -> None:
        raise error

    monkeypatch.setattr(cli.cli, "get_command", fail)
    with pytest.raises(SystemExit) as ended:
        cli.main(["status"])
    return ended.value.code


def test_reader_that_has_enough_is_no_error(tmp_path: Path) -> None:
    read_fd, write_fd = os.pipe()
    os.close(read_fd)
    result = subprocess.run(
        [sys.executable, "-m", "lunaroute", "status", "--home", str(tmp_path)],
        stdout=write_fd,
        stderr=subprocess.PIPE,
        timeout=30,
        check=False,
    )
    os.close(write_fd)
    assert result.stderr == b""
    assert result.returncode == 1
