"""`env` and `run`: a server is found or started, and clients are pointed at it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lunaroute.cli.env import client_variables
from lunaroute.config import Config
from lunaroute.errors import StartError
from lunaroute.supervisor.background import ensure_running
from lunaroute.supervisor.instance import find_server
from tests.unit.supervisor.server_process import ServerProcess, fake_server_command, running, wait_until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running(fake_server_command(tmp_path_factory.mktemp("home"))) as process:
        yield process


def _lunaroute(server: ServerProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "LUNAROUTE_HOME": str(server.home)}
    command = [sys.executable, "-m", "lunaroute", *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=30, check=False)


def test_shell_that_evaluates_env_has_every_variable(server: ServerProcess) -> None:
    printed = _lunaroute(server, "env")
    assert (printed.returncode, printed.stderr) == (0, "")
    url = f"http://127.0.0.1:{server.info.port}"
    for quoted in (f'"{"$"}{{X}}"', "${X}"):  # with and without quotes around $(…)
        shown = subprocess.run(
            ["sh", "-c", f"eval {quoted}; env"], env={"X": printed.stdout}, capture_output=True, text=True, check=True
        )
        variables = dict(line.partition("=")[::2] for line in shown.stdout.splitlines())
        assert variables.items() >= client_variables(url).items()
    assert client_variables(url) == {
        "ANTHROPIC_BASE_URL": url,
        "OPENAI_BASE_URL": f"{url}/v1",
        "OPENAI_API_BASE": f"{url}/v1",
        "GOOGLE_GEMINI_BASE_URL": url,
    }


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("sh", "export ANTHROPIC_BASE_URL={}"),
        ("fish", "set -gx ANTHROPIC_BASE_URL {};"),
        ("powershell", "$env:ANTHROPIC_BASE_URL = '{}'"),
    ],
)
def test_env_speaks_the_shells_syntax_and_tells_how_to_set_up_codex(
    server: ServerProcess, shell: str, line: str
) -> None:
    printed = _lunaroute(server, "env", "--shell", shell).stdout.splitlines()
    url = f"http://127.0.0.1:{server.info.port}"
    assert printed[0] == line.format(url)
    assert printed[4] == f"# Codex: codex -c openai_base_url={url}/v1"
    assert all(text.startswith("#") for text in printed[4:])


def test_run_gives_the_command_its_variables_and_passes_its_exit_code(server: ServerProcess) -> None:
    result = _lunaroute(server, "run", "--", "sh", "-c", 'echo "$OPENAI_BASE_URL"; exit 42')
    assert (result.returncode, result.stderr) == (42, "")
    assert result.stdout == f"http://127.0.0.1:{server.info.port}/v1\n"


def test_run_keeps_the_key_of_recordings_from_the_command(server: ServerProcess) -> None:
    environ = {"PATH": os.environ["PATH"], "LUNAROUTE_HOME": str(server.home), "LUNAROUTE_ENCRYPTION_KEY": "42" * 32}
    command = [sys.executable, "-m", "lunaroute", "run", "--", "env"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=True)
    assert "ANTHROPIC_BASE_URL" in done.stdout
    assert "LUNAROUTE_ENCRYPTION_KEY" not in done.stdout


def test_codex_gets_its_setting_before_the_users_own(server: ServerProcess, tmp_path: Path) -> None:
    program = tmp_path / "codex"
    program.write_text('#!/bin/sh\necho "$@"\n')
    program.chmod(0o755)
    result = _lunaroute(server, "run", "--", str(program), "exec", "-c", "model=m", "a task")
    url = f"http://127.0.0.1:{server.info.port}/v1"
    assert result.stdout == f"-c openai_base_url={url} exec -c model=m a task\n"


def test_options_after_the_command_are_the_commands(server: ServerProcess) -> None:
    result = _lunaroute(server, "run", "echo", "--home", "x", "--help")
    assert result.stdout == "--home x --help\n"


def test_signal_reaches_the_command_itself(server: ServerProcess) -> None:
    result = _lunaroute(server, "run", "--", "sh", "-c", "kill -TERM $$")
    assert result.returncode == -signal.SIGTERM


def test_command_that_cannot_be_run_has_the_shells_exit_code(server: ServerProcess, tmp_path: Path) -> None:
    missing = _lunaroute(server, "run", "--", "no-such-command")
    assert (missing.returncode, missing.stderr) == (127, "lunaroute: no-such-command: there is no such command\n")
    (tmp_path / "plain").touch()
    assert _lunaroute(server, "run", "--", str(tmp_path / "plain")).returncode == 126


def test_server_in_the_background_is_started_once_and_outlives_its_starter(tmp_path: Path) -> None:
    config = Config(home=tmp_path)
    told: list[str] = []
    try:
        info = ensure_running(config, fake_server_command(tmp_path), told.append)
        assert told == [f"starting a server for {tmp_path}"]
        assert os.getsid(info.pid) == info.pid
        assert ensure_running(config, ["/does/not/exist"], told.append) == info
        assert len(told) == 1
        assert f"listens on http://127.0.0.1:{info.port}" in (tmp_path / "run" / "server.log").read_text()
    finally:
        server = find_server(config.run_dir)
        assert server is not None
        os.kill(server.pid, signal.SIGTERM)
        wait_until(lambda: find_server(config.run_dir) is None)
        os.waitpid(server.pid, 0)


def test_server_that_does_not_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    config = Config(home=tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "server.log").write_text("of an earlier start\n")
    told: list[str] = []
    command = [sys.executable, "-S", "-c", "import sys; sys.exit('lunaroute: port 1 is taken')"]
    with pytest.raises(StartError, match="did not start; see"):
        ensure_running(config, command, told.append)
    assert told[1:] == ["lunaroute: port 1 is taken"]


def test_server_that_does_not_answer_in_time_is_an_error(tmp_path: Path) -> None:
    config = Config(home=tmp_path)
    command = [sys.executable, "-S", "-c", "import time; time.sleep(1)"]
    with pytest.raises(StartError, match=r"did not answer within 0\.2 s"):
        ensure_running(config, command, lambda line: None, wait_s=0.2)
    os.wait()
