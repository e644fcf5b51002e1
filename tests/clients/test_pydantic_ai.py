"""Agents on pydantic-ai: every protocol, streamed and not. It tells no session."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.both_ways import Address, BothWays, both_ways, calls_with_results, check_recording, check_same_work
from tests.clients.catalog import PYDANTIC_AI
from tests.clients.conftest import skip_without
from tests.clients.sandbox import NOTES, Ended, Sandbox
from tests.clients.task import ANSWER, MADE, task

SCRIPT = Path(__file__).parent / "scripts" / "pydantic_agent.py"
TASK = task("read_note name=notes.txt | make_note name=made.txt", "read_note name=made.txt")
PROVIDERS = {
    "anthropic": ("claude-sonnet-4-6", "anthropic_messages"),
    "openai": ("gpt-5", "openai_responses"),
    "chat": ("gpt-4.1", "openai_chat"),
    "google": ("gemini-3.5-flash", "gemini"),
}


def agent(sandbox: Sandbox, address: Address, provider: str, how: str) -> Ended:
    (sandbox.project / "made.txt").unlink(missing_ok=True)
    command = [PYDANTIC_AI.path, SCRIPT, address.base_url, provider, PROVIDERS[provider][0], how, TASK]
    return sandbox.run(command, {})


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> BothWays:
    skip_without(PYDANTIC_AI)
    return both_ways(
        tmp_path_factory.mktemp("pydantic_ai"),
        lambda sandbox, address: [
            agent(sandbox, address, provider, how) for provider in PROVIDERS for how in ("run", "stream")
        ],
    )


def test_it_works_as_it_does_without_us(ways: BothWays) -> None:
    check_same_work(ways)
    assert [one.said for one in ways.relayed] == [f"{ANSWER}\n"] * 8
    assert all(one.project == {"notes.txt": NOTES} | MADE for one in ways.relayed)


def test_everything_is_recorded(ways: BothWays) -> None:
    check_recording(ways)


def test_each_run_is_a_session(ways: BothWays) -> None:
    expected = [dialect for _, dialect in PROVIDERS.values() for _ in ("run", "stream")]
    assert [session.started.dialect for session in ways.sessions] == expected
    # From Anthropic it streams in any case.
    assert [session.started.is_streaming for session in ways.sessions] == [True, True] + [False, True] * 3
    assert [calls_with_results(session) for session in ways.sessions] == [{"read_note": 2, "make_note": 1}] * 8
