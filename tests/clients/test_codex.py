"""Codex: started by `lunaroute run`, with the provider of the README in its settings, and over a WebSocket."""

from __future__ import annotations

import http.client
import sys
from pathlib import Path

import pytest

from lunaroute.simulator import start_simulator
from tests.clients.both_ways import Address, BothWays, both_ways, calls_with_results, check_recording, check_same_work
from tests.clients.catalog import CODEX
from tests.clients.conftest import skip_without
from tests.clients.sandbox import NOTES, Ended, Sandbox
from tests.clients.task import ANSWER, COMMAND, MADE, task
from tests.docs.snippets import blocks
from tests.support.server import serving

QUIET = "[analytics]\nenabled = false\n"
UNATTENDED = ("--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox")
SCRIPT_TASK = task(f"exec input='text(await tools.exec_command({{cmd: \"{COMMAND}\"}}))'")
"""For Codex's default model, which is given one tool that runs JavaScript."""
SHELL_TASK = task(f"exec_command cmd='{COMMAND}' | exec_command cmd='wc -l notes.txt'")
FOLLOW_UP = task("exec_command cmd='cat made.txt'", answer="Twice checked.")
SUB_TASK = task('exec input="text(await tools.exec_command({cmd: \\"wc -l notes.txt\\"}))"', answer="One line.")
DELEGATED = task(
    f"spawn_agent task_name=counter fork_turns=none message='{SUB_TASK}'",
    "wait_agent timeout_ms=60000",
    answer="It has one line.",
)


def run_by_us(sandbox: Sandbox, address: Address, prompt: str) -> Ended:
    """Codex as it comes: its own provider and model, at another address."""
    sandbox.settings(".codex/config.toml", QUIET)
    variables = {"CODEX_API_KEY": "sk-dummy"}
    command = [CODEX.path, "exec", *UNATTENDED, prompt]
    if address.server_home is None:
        setting = f"openai_base_url={address.base_url}/v1"
        return sandbox.run([CODEX.path, "-c", setting, *command[1:]], variables)
    home = f"--home={address.server_home}"
    return sandbox.run([sys.executable, "-m", "lunaroute", "run", home, "--", *command], variables)


def with_settings(sandbox: Sandbox, address: Address, *words: str) -> Ended:
    """Codex with the settings that the README gives, which go over HTTP only."""
    provider = readme_settings().replace("http://127.0.0.1:8081", address.base_url)
    sandbox.settings(".codex/config.toml", f'model = "gpt-5.2-codex"\n{provider}\n{QUIET}')
    return sandbox.run([CODEX.path, "exec", *words[:-1], *UNATTENDED, words[-1]], {"OPENAI_API_KEY": "sk-dummy"})


def readme_settings() -> str:
    (found,) = [block.text for block in blocks("README.md") if "[model_providers.lunaroute]" in block.text]
    return found


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> BothWays:
    skip_without(CODEX)
    return both_ways(
        tmp_path_factory.mktemp("codex"),
        lambda sandbox, address: [
            with_settings(sandbox, address, SHELL_TASK),
            with_settings(sandbox, address, "resume", "--last", FOLLOW_UP),
            with_settings(sandbox, address, SHELL_TASK),
        ],
    )


@pytest.fixture(scope="module")
def as_it_comes(tmp_path_factory: pytest.TempPathFactory) -> BothWays:
    skip_without(CODEX)
    return both_ways(
        tmp_path_factory.mktemp("codex_run"),
        lambda sandbox, address: [run_by_us(sandbox, address, SCRIPT_TASK), run_by_us(sandbox, address, DELEGATED)],
    )


def test_it_works_as_it_does_without_us(ways: BothWays) -> None:
    check_same_work(ways)
    assert [one.said.strip() for one in ways.relayed] == [ANSWER, "Twice checked.", ANSWER]
    assert ways.relayed[0].project == {"notes.txt": NOTES} | MADE


def test_everything_is_recorded(ways: BothWays) -> None:
    check_recording(ways)


def test_a_run_and_its_resumption_are_one_session(ways: BothWays) -> None:
    assert [[text for text in asked if text] for asked in ways.asked()] == [[SHELL_TASK, FOLLOW_UP], [SHELL_TASK]]
    assert [calls_with_results(session) for session in ways.sessions] == [{"exec_command": 3}, {"exec_command": 2}]


def test_as_it_comes_it_works_as_it_does_without_us(as_it_comes: BothWays) -> None:
    check_same_work(as_it_comes)
    assert [one.said.strip() for one in as_it_comes.relayed] == [ANSWER, "It has one line."]


def test_as_it_comes_everything_is_recorded(as_it_comes: BothWays) -> None:
    check_recording(as_it_comes)
    scripted, delegated = as_it_comes.sessions
    assert calls_with_results(scripted) == {"exec": 1}
    assert calls_with_results(delegated) == {"spawn_agent": 1, "exec": 1, "wait_agent": 1}
    assert all(one.request.stats.has_tools for one in as_it_comes.exchanges())


def test_a_sub_agent_is_a_thread_with_a_parent(as_it_comes: BothWays) -> None:
    requests = [one.request for one in as_it_comes.sessions[1].exchanges()]
    main = requests[0].thread_id
    assert {(one.thread_id == main, one.parent_thread_id) for one in requests} == {(True, None), (False, main)}
    asked = [one.request_text for one in requests if one.thread_id != main]
    assert "Task name: /root/counter" in asked[0]  # what it is told to do is encrypted
    assert not any(asked[1:])


def test_it_talks_over_a_websocket(as_it_comes: BothWays, tmp_path: Path) -> None:
    """As it comes, Codex tries a WebSocket first; refused with 426 it goes on over HTTP, which the tests above show."""
    if refuses_upgrades(tmp_path):
        pytest.skip("the relay answers an upgrade with 426")
    assert {one.request.method for one in as_it_comes.exchanges()} == {"GET"}


def refuses_upgrades(folder: Path) -> bool:
    with start_simulator() as provider, serving(folder / "home", {"openai": provider.base_url}) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        fields = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        connection.request("GET", "/v1/responses", headers=fields | {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="})
        return connection.getresponse().status == 426
