"""The quickstart works as it is written, from the first command to the last, in the home of a new user."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess

import pytest

from lunaroute.simulator import start_simulator

from .snippets import blocks, reader_environment

_BLOCKS = [block for block in blocks("docs/quickstart.md") if block.name is not None]
_MARK = "----8<----"
_KEY = "sk-not-a-key"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each block printed, all of them run in one shell."""
    for tool in ("curl", "jq"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    home = tmp_path_factory.mktemp("newcomer")
    script = "".join(f"{block.text}\necho '{_MARK}'\n{_AFTER.get(block.name or '', '')}" for block in _BLOCKS)
    with start_simulator() as provider:
        settings = {
            "LUNAROUTE_PORT": str(_free_port()),
            "LUNAROUTE_UPSTREAMS_ANTHROPIC": provider.base_url,
            "ANTHROPIC_API_KEY": _KEY,
        }
        environment = reader_environment(home, settings)
        try:
            done = _bash(script, environment)
        finally:
            _bash("lunaroute stop", environment)
    assert done.returncode == 0, done.stderr + done.stdout
    assert [path for path in home.rglob("*") if path.is_file() and _KEY.encode() in path.read_bytes()] == []
    return dict(zip((block.name or "" for block in _BLOCKS), done.stdout.split(_MARK), strict=False))


def _bash(script: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = ["bash", "-euo", "pipefail", "-c", script]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=90)


_AFTER = {
    "request": """
for _ in $(seq 200); do
  [ "$(lunaroute sessions list --json | jq 'map(select(.success)) | length')" = 1 ] && break
  sleep 0.05
done
"""
}
"""A person takes longer to read than the recorder to record; a script must wait for it."""


def test_env_names_one_server_for_all_clients(said: dict[str, str]) -> None:
    anthropic, openai = said["env"].split()
    assert anthropic.startswith("http://127.0.0.1:")
    assert openai == f"{anthropic}/v1"


def test_request_gets_the_providers_answer(said: dict[str, str]) -> None:
    assert json.loads(said["request"])["type"] == "message"


def test_status_shows_a_running_server(said: dict[str, str]) -> None:
    assert "running: http://127.0.0.1:" in said["status"]


def test_the_session_is_listed(said: dict[str, str]) -> None:
    assert "Say hello." in said["look"]
    assert said["look"].split()[-1].count("-") == 4


def test_the_file_of_a_live_session_has_its_exchange(said: dict[str, str]) -> None:
    assert said["file"].split() == ["started", "request_recorded", "response_recorded"]


def test_stop_completes_the_session(said: dict[str, str]) -> None:
    assert said["stop"].splitlines()[-1] == '["shutdown",1]'


def test_every_marked_block_is_checked() -> None:
    assert [block.name for block in _BLOCKS] == ["env", "request", "status", "look", "file", "stop"]
