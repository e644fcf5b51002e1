"""Qwen Code: Chat Completions without any session signal, with the variables of `lunaroute env`."""

from __future__ import annotations

import json

import pytest

from lunaroute.cli.env import client_variables
from tests.clients.both_ways import Address, BothWays, both_ways, calls_with_results, check_recording, check_same_work
from tests.clients.catalog import QWEN_CODE
from tests.clients.conftest import skip_without
from tests.clients.sandbox import NOTES, Ended, Sandbox
from tests.clients.task import ANSWER, COMMAND, MADE, task

SETTINGS = {
    "security": {"auth": {"selectedType": "openai"}},
    "privacy": {"usageStatisticsEnabled": False},
    "telemetry": {"enabled": False},
    "general": {"enableAutoUpdate": False},
}
SHELL_TASK = task(f"run_shell_command command='{COMMAND}' is_background=false")
FOLLOW_UP = task("run_shell_command command='cat made.txt' is_background=false", answer="Twice checked.")


def qwen(sandbox: Sandbox, address: Address, prompt: str, *options: str) -> Ended:
    sandbox.settings(".qwen/settings.json", json.dumps(SETTINGS))
    command = [QWEN_CODE.path, "--yolo", "--model", "gpt-4.1", *options, "--prompt", prompt]
    return sandbox.run(command, {"OPENAI_API_KEY": "dummy"} | client_variables(address.base_url))


def drive(sandbox: Sandbox, address: Address) -> list[Ended]:
    return [
        qwen(sandbox, address, SHELL_TASK),
        qwen(sandbox, address, FOLLOW_UP, "--continue"),
        qwen(sandbox, address, SHELL_TASK),
    ]


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> BothWays:
    skip_without(QWEN_CODE)
    return both_ways(tmp_path_factory.mktemp("qwen"), drive)


def test_it_works_as_it_does_without_us(ways: BothWays) -> None:
    check_same_work(ways)
    answers = [ANSWER, "Twice checked.", ANSWER]
    assert [answer for one, answer in zip(ways.relayed, answers, strict=True) if answer in one.said] == answers
    assert ways.relayed[0].project == {"notes.txt": NOTES} | MADE


def test_everything_is_recorded(ways: BothWays) -> None:
    check_recording(ways)


def test_a_run_and_its_continuation_are_one_session(ways: BothWays) -> None:
    assert [calls_with_results(session) for session in ways.sessions] == [
        {"run_shell_command": 2},
        {"run_shell_command": 1},
    ]
