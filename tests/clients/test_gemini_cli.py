"""gemini-cli, with the variables of `lunaroute env`. It tells no session; its history does."""

from __future__ import annotations

import json

import pytest

from lunaroute.cli.env import client_variables
from tests.clients.both_ways import Address, BothWays, both_ways, check_recording, check_same_work
from tests.clients.catalog import GEMINI_CLI
from tests.clients.conftest import skip_without
from tests.clients.sandbox import NOTES, Ended, Sandbox
from tests.clients.task import ANSWER, COMMAND, MADE, task

SETTINGS = {
    "security": {"auth": {"selectedType": "gemini-api-key"}, "folderTrust": {"enabled": False}},
    "privacy": {"usageStatisticsEnabled": False},
    "telemetry": {"enabled": False},
    "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False},
}
SHELL_TASK = task(f"run_shell_command command='{COMMAND}'", "read_file file_path=notes.txt")
FOLLOW_UP = task("read_file file_path=made.txt", answer="Twice checked.")


def gemini(sandbox: Sandbox, address: Address, model: str, prompt: str, *options: str) -> Ended:
    sandbox.settings(".gemini/settings.json", json.dumps(SETTINGS))
    variables = {"GEMINI_API_KEY": "dummy", "GEMINI_CLI_TRUST_WORKSPACE": "true"}
    command = [GEMINI_CLI.path, "--yolo", "--model", model, *options, "--prompt", prompt]
    return sandbox.run(command, variables | client_variables(address.base_url))


def drive(sandbox: Sandbox, address: Address) -> list[Ended]:
    return [
        gemini(sandbox, address, "gemini-2.5-pro", SHELL_TASK),
        gemini(sandbox, address, "gemini-2.5-pro", FOLLOW_UP, "--resume", "latest"),
        gemini(sandbox, address, "gemini-2.5-flash", SHELL_TASK),
    ]


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> BothWays:
    skip_without(GEMINI_CLI)
    return both_ways(tmp_path_factory.mktemp("gemini"), drive)


def test_it_works_as_it_does_without_us(ways: BothWays) -> None:
    check_same_work(ways)
    answers = [ANSWER, "Twice checked.", ANSWER]
    assert [answer for one, answer in zip(ways.relayed, answers, strict=True) if answer in one.said] == answers
    assert ways.relayed[0].project == {"notes.txt": NOTES} | MADE


def test_everything_is_recorded(ways: BothWays) -> None:
    check_recording(ways)
    assert {session.started.dialect for session in ways.sessions} == {"gemini"}


def test_a_run_and_its_resumption_are_one_session(ways: BothWays) -> None:
    assert [[text for text in asked if text] for asked in ways.asked()] == [[SHELL_TASK, FOLLOW_UP], [SHELL_TASK]]
