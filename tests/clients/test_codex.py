"""Codex: started by `lunaroute run`, and with the provider of the README in its settings; over a WebSocket and over
HTTP."""

from __future__ import annotations

import re
import sys

import pytest

from tests.clients.both_ways import (
    Address,
    BothWays,
    both_ways,
    calls_with_results,
    check_recording,
    check_same_work,
    is_handshake,
    work,
)
from tests.clients.catalog import CODEX
from tests.clients.conftest import skip_without
from tests.clients.sandbox import NOTES, Ended, Sandbox
from tests.clients.task import ANSWER, COMMAND, MADE, task
from tests.clients.transcripts import check_transcripts
from tests.docs.snippets import blocks

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


def with_settings(sandbox: Sandbox, address: Address, *words: str, is_http: bool = True) -> Ended:
    """Codex with the settings that the README gives."""
    provider = readme_settings().replace("http://127.0.0.1:8081", address.base_url)
    if is_http:
        provider = re.sub("^supports_websockets.*$", "", provider, flags=re.MULTILINE)
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
            with_settings(sandbox, address, SHELL_TASK, is_http=False),
        ],
    )


@pytest.fixture(scope="module")
def as_it_comes(tmp_path_factory: pytest.TempPathFactory) -> BothWays:
    skip_without(CODEX)
    return both_ways(
        tmp_path_factory.mktemp("codex_run"),
        lambda sandbox, address: [run_by_us(sandbox, address, SCRIPT_TASK), run_by_us(sandbox, address, DELEGATED)],
    )


@pytest.fixture(scope="module")
def without_websocket(tmp_path_factory: pytest.TempPathFactory) -> BothWays:
    """Told that its provider knows WebSocket, which it does not."""
    skip_without(CODEX)
    return both_ways(
        tmp_path_factory.mktemp("codex_http"),
        lambda sandbox, address: [with_settings(sandbox, address, SHELL_TASK, is_http=False)],
        http_only=True,
    )


def test_it_works_as_it_does_without_us(ways: BothWays) -> None:
    check_same_work(ways)
    assert [one.said.strip() for one in ways.relayed] == [ANSWER, "Twice checked.", ANSWER]
    assert ways.relayed[0].project == {"notes.txt": NOTES} | MADE


def test_everything_is_recorded(ways: BothWays) -> None:
    check_recording(ways)
    over_sockets = [{one.request.websocket is not None for one in session.exchanges()} for session in ways.sessions]
    assert over_sockets == [{False}, {True}]


def test_a_run_and_its_resumption_are_one_session(ways: BothWays) -> None:
    assert [[text for text in asked if text] for asked in ways.asked()] == [[SHELL_TASK, FOLLOW_UP], [SHELL_TASK]]
    assert [calls_with_results(session) for session in ways.sessions] == [{"exec_command": 3}, {"exec_command": 2}]


def test_as_it_comes_it_works_as_it_does_without_us(as_it_comes: BothWays) -> None:
    check_same_work(as_it_comes)
    assert [one.said.strip() for one in as_it_comes.relayed] == [ANSWER, "It has one line."]


def test_as_it_comes_everything_is_recorded(as_it_comes: BothWays) -> None:
    check_recording(as_it_comes)
    assert all(one.request.websocket is not None for one in as_it_comes.exchanges())
    scripted, delegated = as_it_comes.sessions
    assert calls_with_results(scripted) == {"exec": 1}
    assert calls_with_results(delegated) == {"spawn_agent": 1, "exec": 1, "wait_agent": 1}


def test_a_sub_agent_is_a_thread_with_a_parent(as_it_comes: BothWays) -> None:
    requests = [one.request for one in as_it_comes.sessions[1].exchanges()]
    main = requests[0].thread_id
    assert {(one.thread_id == main, one.parent_thread_id) for one in requests} == {(True, None), (False, main)}
    asked = [one.request_text for one in requests if one.thread_id != main and not one.is_prewarm]
    assert "Task name: /root/counter" in asked[0]  # what it is told to do is encrypted
    assert not any(asked[1:])


def test_where_the_provider_knows_no_websocket_it_goes_on_over_http(without_websocket: BothWays) -> None:
    """At once: our 426 spares it the attempts that it makes after any other answer."""
    [direct], [relayed] = without_websocket.direct, without_websocket.relayed
    assert (relayed.exit_code, relayed.said.strip(), relayed.project) == (0, ANSWER, direct.project)
    ledgers = (without_websocket.direct_ledger, without_websocket.relayed_ledger)
    direct_work, relayed_work = (sorted(work(one) for one in each if not is_handshake(one)) for each in ledgers)
    assert len(direct_work) >= 2
    assert relayed_work == direct_work
    direct_refused, relayed_refused = ([one.status for one in each if is_handshake(one)] for each in ledgers)
    assert relayed_refused == [405]
    assert len(direct_refused) > 1


def test_the_refused_handshake_is_in_the_session_that_goes_on_over_http(without_websocket: BothWays) -> None:
    check_recording(without_websocket)
    [session] = without_websocket.sessions
    refused, *others = session.exchanges()
    assert (refused.response.status_code, refused.response.outcome) == (405, "http_error")
    assert {one.response.outcome for one in others} == {"completed"}
    assert calls_with_results(session) == {"exec_command": 2}


def test_its_transcripts_add_nothing_to_the_recording_and_alone_tell_the_same(
    ways: BothWays, as_it_comes: BothWays
) -> None:
    check_transcripts(ways, "codex", ".codex/sessions")
    check_transcripts(as_it_comes, "codex", ".codex/sessions")
