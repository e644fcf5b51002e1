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
MENDED = f"{EDITED}third note\n"
CHECK = f"""grep -q third notes.txt && exit
cat <<'END'
The third note is missing. [[answer: It was.

notes.txt
```
{MENDED}```
]]
END
exit 1
"""
"""A test of the project that fails once; what it says goes to the model."""
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


def aider(sandbox: Sandbox, address: Address, model: str, *options: str) -> Ended:
    command = [AIDER.path, f"--model={model}", *OPTIONS, *options, "--message", EDIT, "notes.txt"]
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


@pytest.fixture(scope="module", params=["openai/gpt-4.1", "anthropic/claude-sonnet-4-6"])
def mended(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> BothWays:
    """Runs of several requests: what the first changes fails the project's test."""
    skip_without(AIDER)

    def drive(sandbox: Sandbox, address: Address) -> list[Ended]:
        (sandbox.project / "check.sh").write_text(CHECK)
        return [aider(sandbox, address, request.param, "--auto-test", "--test-cmd=sh check.sh")]

    return both_ways(tmp_path_factory.mktemp("aider_mends"), drive)


def test_it_works_as_it_does_without_us(ways: BothWays) -> None:
    check_same_work(ways)
    assert [one.project for one in ways.relayed] == [{"notes.txt": EDITED}] * 2


def test_everything_is_recorded(ways: BothWays) -> None:
    check_recording(ways)


def test_each_run_is_a_session(ways: BothWays) -> None:
    """One request each: aider answers nothing that a later request could be recognised by."""
    assert [session.started.dialect for session in ways.sessions] == ["openai_chat", "anthropic_messages"]


def test_a_run_of_several_requests_works_as_it_does_without_us(mended: BothWays) -> None:
    check_same_work(mended)
    assert [one.project["notes.txt"] for one in mended.relayed] == [MENDED]


def test_all_requests_of_a_run_are_recorded(mended: BothWays) -> None:
    check_recording(mended)
    first, second = (one.request.request_text for one in mended.exchanges())
    assert "See to the notes." in first
    assert "The third note is missing." in second
