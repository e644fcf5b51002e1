"""opencode, with nothing but the variables of `lunaroute env`: Anthropic Messages and OpenAI Responses, and Chat with a
provider in its settings."""

from __future__ import annotations

import json

import pytest

from lunaroute.cli.env import client_variables
from tests.clients.both_ways import Address, BothWays, both_ways, calls_with_results, check_recording, check_same_work
from tests.clients.catalog import OPENCODE
from tests.clients.conftest import skip_without
from tests.clients.sandbox import NOTES, Ended, Sandbox
from tests.clients.task import ANSWER, COMMAND, MADE, task

QUIET = {
    "OPENCODE_DISABLE_AUTOUPDATE": "1",
    "OPENCODE_DISABLE_MODELS_FETCH": "1",
    "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
    "ANTHROPIC_API_KEY": "dummy",
    "OPENAI_API_KEY": "dummy",
}
SHELL_TASK = task(f"bash command='{COMMAND}' description=notes")
FOLLOW_UP = task("read filePath=notes.txt | bash command='cat made.txt' description=made", answer="Twice checked.")
SUB_TASK = task("bash command=ls description=look", answer="Two files.")
"""Without quotes: opencode escapes them in its prompt."""
DELEGATED = task(f"task description=count subagent_type=general prompt='{SUB_TASK}'", answer="It has one line.")


def opencode(sandbox: Sandbox, address: Address, model: str, prompt: str, *options: str) -> Ended:
    compatible = {
        "npm": "@ai-sdk/openai-compatible",
        "options": {"baseURL": f"{address.base_url}/v1", "apiKey": "dummy"},
        "models": {"gpt-4.1": {"name": "gpt-4.1"}},
    }
    settings = {"share": "disabled", "provider": {"compatible": compatible}}
    sandbox.settings(".config/opencode/opencode.json", json.dumps(settings))
    variables = QUIET | client_variables(address.base_url)
    if address.server_home is None:  # it takes this one to end in the version, and the relay makes up for that
        variables["ANTHROPIC_BASE_URL"] += "/v1"
    return sandbox.run([OPENCODE.path, "run", "--model", model, *options, prompt], variables)


def drive(sandbox: Sandbox, address: Address) -> list[Ended]:
    return [
        opencode(sandbox, address, "anthropic/claude-sonnet-4-5", SHELL_TASK),
        opencode(sandbox, address, "anthropic/claude-sonnet-4-5", FOLLOW_UP, "--continue"),
        opencode(sandbox, address, "openai/gpt-5.2", SHELL_TASK),
        opencode(sandbox, address, "compatible/gpt-4.1", SHELL_TASK),
        opencode(sandbox, address, "anthropic/claude-sonnet-4-5", DELEGATED),
    ]


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> BothWays:
    skip_without(OPENCODE)
    return both_ways(tmp_path_factory.mktemp("opencode"), drive)


def test_it_works_as_it_does_without_us(ways: BothWays) -> None:
    check_same_work(ways)
    answers = [ANSWER, "Twice checked.", ANSWER, ANSWER, "It has one line."]
    assert [answer for one, answer in zip(ways.relayed, answers, strict=True) if answer in one.said] == answers
    assert ways.relayed[0].project == {"notes.txt": NOTES} | MADE


def test_everything_is_recorded(ways: BothWays) -> None:
    check_recording(ways)
    dialects = [session.started.dialect for session in ways.sessions]
    assert dialects == ["anthropic_messages", "openai_responses", "openai_chat", "anthropic_messages"]


def test_each_run_with_its_title_and_its_continuation_is_one_session(ways: BothWays) -> None:
    assert [calls_with_results(session) for session in ways.sessions] == [
        {"bash": 2, "read": 1},
        {"bash": 1},
        {"bash": 1},
        {"task": 1, "bash": 1},
    ]


def test_a_sub_agent_is_a_thread_with_a_parent(ways: BothWays) -> None:
    requests = [one.request for one in ways.sessions[-1].exchanges()]
    parents = {one.thread_id: one.parent_thread_id for one in requests}
    (main,) = [thread_id for thread_id, parent in parents.items() if parent is None]
    assert {parent for parent in parents.values() if parent is not None} == {main}
    assert main not in {one.thread_id for one in requests if one.request_text == SUB_TASK}
