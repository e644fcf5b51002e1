"""Agents on the Vercel AI SDK: every provider package, streamed and not. It tells no session."""

from __future__ import annotations

from pathlib import Path

import pytest

from lunaroute.cli.env import client_variables
from tests.clients.both_ways import Address, BothWays, both_ways, calls_with_results, check_recording, check_same_work
from tests.clients.catalog import NODE, VERCEL_AI
from tests.clients.conftest import skip_without
from tests.clients.sandbox import NOTES, Ended, Sandbox
from tests.clients.task import ANSWER, MADE, task

SCRIPT = Path(__file__).parent / "scripts" / "vercel_agent.mjs"
TASK = task("read_note name=notes.txt | make_note name=made.txt", "read_note name=made.txt")
PROVIDERS = {
    "anthropic": ("claude-sonnet-4-6", "anthropic_messages"),
    "openai": ("gpt-5", "openai_responses"),
    "chat": ("gpt-4.1", "openai_chat"),
    "compatible": ("gpt-4.1-mini", "openai_chat"),
    "google": ("gemini-3.5-flash", "gemini"),
}
KEYS = dict.fromkeys(("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GOOGLE_GENERATIVE_AI_API_KEY"), "dummy")


def agent(sandbox: Sandbox, address: Address, provider: str, how: str) -> Ended:
    variables = KEYS | client_variables(address.base_url) | {"BASE_URL": address.base_url}
    if address.server_home is None:  # it takes this one to end in the version, and the relay makes up for that
        variables["ANTHROPIC_BASE_URL"] += "/v1"
    (sandbox.project / "made.txt").unlink(missing_ok=True)
    return sandbox.run([NODE.path, SCRIPT, VERCEL_AI.folder, provider, PROVIDERS[provider][0], how, TASK], variables)


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> BothWays:
    skip_without(VERCEL_AI)
    return both_ways(
        tmp_path_factory.mktemp("vercel"),
        lambda sandbox, address: [
            agent(sandbox, address, provider, how) for provider in PROVIDERS for how in ("generate", "stream")
        ],
    )


def test_it_works_as_it_does_without_us(ways: BothWays) -> None:
    check_same_work(ways)
    assert [one.said for one in ways.relayed] == [f"{ANSWER}\n"] * 10
    assert all(one.project == {"notes.txt": NOTES} | MADE for one in ways.relayed)


def test_everything_is_recorded(ways: BothWays) -> None:
    check_recording(ways)


def test_each_run_is_a_session(ways: BothWays) -> None:
    expected = [dialect for _, dialect in PROVIDERS.values() for _ in ("generate", "stream")]
    assert [session.started.dialect for session in ways.sessions] == expected
    assert [session.started.is_streaming for session in ways.sessions] == [False, True] * len(PROVIDERS)
    assert [calls_with_results(session) for session in ways.sessions] == [{"read_note": 2, "make_note": 1}] * 10
