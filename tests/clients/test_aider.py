"""aider: no tools, no session signal, a new connection for each call; Chat Completions and Anthropic Messages."""

from __future__ import annotations

import pytest

from lunaroute.cli.env import client_variables
from tests.clients.both_ways import Address, BothWays, both_ways, check_recording, check_same_work
from tests.clients.catalog import AIDER
from tests.clients.conftest import skip_without
from tests.clients.sandbox import NOTES, Ended, Sandbox
from tests.clients.task import task

EDITED = f"{NOTES}second note\n"
EDIT = task(answer=f"This adds a line.\n\nnotes.txt\n```\n{EDITED}```\n")
OPTIONS = (
    "--no-git",
    "--yes-always",
    "--no-check-update",
    "--analytics-disable",
    "--no-show-model-warnings",
    "--no-show-release-notes",
    "--no-pretty",
    "--edit-format=whole",
)
VARIABLES = {"OPENAI_API_KEY": "dummy", "ANTHROPIC_API_KEY": "dummy", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}


def aider(sandbox: Sandbox, address: Address, model: str) -> Ended:
    command = [AIDER.path, f"--model={model}", *OPTIONS, "--message", EDIT, "notes.txt"]
    return sandbox.run(command, VARIABLES | client_variables(address.base_url))


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> BothWays:
    skip_without(AIDER)
    return both_ways(
        tmp_path_factory.mktemp("aider"),
        lambda sandbox, address: [
            aider(sandbox, address, "openai/gpt-4.1"),
            aider(sandbox, address, "anthropic/claude-sonnet-4-6"),
        ],
    )


def test_it_works_as_it_does_without_us(ways: BothWays) -> None:
    check_same_work(ways)
    assert [one.project for one in ways.relayed] == [{"notes.txt": EDITED}] * 2


def test_everything_is_recorded(ways: BothWays) -> None:
    check_recording(ways)


def test_each_run_is_a_session(ways: BothWays) -> None:
    """One request each: aider answers nothing that a later request could be recognised by."""
    assert [session.started.dialect for session in ways.sessions] == ["openai_chat", "anthropic_messages"]
