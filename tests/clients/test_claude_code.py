"""Claude Code, set up by `lunaroute run` and `lunaroute env`."""

from __future__ import annotations

import shlex
import sys

import pytest

from tests.clients.both_ways import Address, BothWays, both_ways, calls_with_results, check_recording, check_same_work
from tests.clients.catalog import CLAUDE_CODE
from tests.clients.conftest import skip_without
from tests.clients.sandbox import NOTES, Ended, Sandbox
from tests.clients.task import ANSWER, COMMAND, MADE, task
from tests.clients.transcripts import check_transcripts

LUNAROUTE = [sys.executable, "-m", "lunaroute"]
QUIET = {"ANTHROPIC_API_KEY": "sk-ant-dummy", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}
SHELL_TASK = task(f"Bash command='{COMMAND}' description=notes")
FOLLOW_UP = task("Read file_path=notes.txt | Bash command='cat made.txt' description=made", answer="Twice checked.")
SUB_TASK = task("Bash command='wc -l notes.txt' description=count", answer="One line.").replace("'", '"')
DELEGATED = task(
    f"Agent description=count subagent_type=general-purpose run_in_background=false prompt='{SUB_TASK}'",
    answer="It has one line.",
)


def claude(sandbox: Sandbox, address: Address, prompt: str, *options: str) -> Ended:
    """Started by `lunaroute run`; straight to the provider, with the one variable that it sets for it."""
    command = [CLAUDE_CODE.path, "-p", prompt, "--allowedTools", "Bash,Read,Agent", *options]
    if address.server_home is None:
        return sandbox.run(command, {**QUIET, "ANTHROPIC_BASE_URL": address.base_url})
    return sandbox.run([*LUNAROUTE, "run", f"--home={address.server_home}", "--", *command], QUIET)


def in_a_shell(sandbox: Sandbox, address: Address, prompt: str, more: dict[str, str]) -> Ended:
    """Started from a shell that evaluated `lunaroute env`."""
    command = shlex.join([str(CLAUDE_CODE.path), "-p", prompt, "--allowedTools", "Bash"])
    if address.server_home is None:
        return sandbox.run(["sh", "-c", command], {**QUIET, **more, "ANTHROPIC_BASE_URL": address.base_url})
    env = shlex.join([*LUNAROUTE, "env", f"--home={address.server_home}"])
    return sandbox.run(["sh", "-c", f'eval "$({env})"; {command}'], QUIET | more)


def drive(sandbox: Sandbox, address: Address) -> list[Ended]:
    return [
        claude(sandbox, address, SHELL_TASK),
        claude(sandbox, address, FOLLOW_UP, "--continue"),
        claude(sandbox, address, DELEGATED),
        in_a_shell(sandbox, address, SHELL_TASK, {"ANTHROPIC_CUSTOM_HEADERS": "x-session-tag: nightly"}),
    ]


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> BothWays:
    skip_without(CLAUDE_CODE)
    return both_ways(tmp_path_factory.mktemp("claude"), drive)


def test_it_works_as_it_does_without_us(ways: BothWays) -> None:
    check_same_work(ways)
    assert [one.said.strip() for one in ways.relayed] == [ANSWER, "Twice checked.", "It has one line.", ANSWER]
    assert ways.relayed[0].project == {"notes.txt": NOTES} | MADE


def test_everything_is_recorded(ways: BothWays) -> None:
    check_recording(ways)


def test_a_run_and_its_continuation_are_one_session_and_other_runs_are_their_own(ways: BothWays) -> None:
    assert [[text for text in asked if text] for asked in ways.asked()] == [
        [SHELL_TASK, FOLLOW_UP],
        [DELEGATED, SUB_TASK],
        [SHELL_TASK],
    ]


def test_a_run_can_be_given_a_tag(ways: BothWays) -> None:
    tags = [session.started.metadata.session_tags for session in ways.sessions]
    assert tags == [[], [], ["nightly"]]


def test_each_call_has_its_result(ways: BothWays) -> None:
    assert [calls_with_results(session) for session in ways.sessions] == [
        {"Bash": 2, "Read": 1},
        {"Agent": 1, "Bash": 1},
        {"Bash": 1},
    ]


def test_a_sub_agent_is_a_thread_of_its_own(ways: BothWays) -> None:
    threads = [one.request.thread_id for one in ways.sessions[1].exchanges()]
    assert len(set(threads)) == 2, threads


def test_its_transcripts_add_nothing_to_the_recording_and_alone_tell_the_same(ways: BothWays) -> None:
    check_transcripts(ways, "claude-code", ".claude/projects")
