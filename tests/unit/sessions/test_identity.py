"""What a request says of itself: each signal of each client, and what must never count as one."""

from __future__ import annotations

import json

import pytest

from lunaroute.capture.records import join_headers
from lunaroute.dialects.facts import IdentityHints
from lunaroute.sessions import Clues, header_texts
from lunaroute.sessions.clues import Declared
from lunaroute.sessions.identity import declare
from tests.corpus import corpus_dir

UUID = "0cf7cc78-aa86-400b-8838-e427b05c5ac3"
DEVICE = "a" * 64


def clues(
    headers: dict[str, str] | None = None, *, tags: list[str] | None = None, hints: IdentityHints | None = None
) -> Clues:
    return Clues(
        request_id="request",
        wall_ns=0,
        session_tags=tags or [],
        headers=header_texts(
            join_headers([(name.encode(), value.encode()) for name, value in (headers or {}).items()])
        ),
        hints=hints or IdentityHints(),
        messages=[],
        chain=[],
    )


def found(request: Clues) -> Declared:
    declared = declare(request)
    assert declared is not None
    return declared


def test_a_user_given_tag_beats_every_other_signal() -> None:
    identity = found(clues({"X-Claude-Code-Session-Id": UUID}, tags=["nightly"]))
    assert (identity.conversation_id, identity.rule, identity.evidence) == (
        "nightly",
        "session_tag",
        "session_tag=nightly",
    )
    assert identity.thread_id == UUID


def test_claude_code_sub_agents_share_the_session_and_have_their_own_thread() -> None:
    main = found(clues({"X-Claude-Code-Session-Id": UUID}))
    agent = found(clues({"x-claude-code-session-id": UUID, "X-Claude-Code-Agent-Id": "a0123456789abcdef"}))
    assert main.conversation_id == agent.conversation_id == UUID
    assert (main.thread_id, main.parent_thread_id) == (UUID, None)
    assert (agent.thread_id, agent.parent_thread_id) == ("a0123456789abcdef", UUID)
    assert (main.thread_kind, agent.thread_kind) == ("main", "subagent")
    assert main.evidence == f"x-claude-code-session-id={UUID}"


def test_codex_sub_agents_belong_to_the_root_session() -> None:
    identity = found(clues({"session-id": "root", "thread-id": "child", "x-codex-parent-thread-id": "root"}))
    assert (identity.conversation_id, identity.thread_id, identity.parent_thread_id) == ("root", "child", "root")
    assert identity.thread_kind == "subagent"
    assert found(clues({"session-id": "root", "thread-id": "root"})).thread_kind == "main"


def test_opencode_sub_agents_belong_to_the_parent_session() -> None:
    parent = found(clues({"x-session-id": "ses_1", "x-session-affinity": "ses_1"}))
    child = found(clues({"x-session-id": "ses_2", "x-parent-session-id": "ses_1"}))
    assert (parent.conversation_id, parent.thread_id) == ("ses_1", "ses_1")
    assert (child.conversation_id, child.thread_id, child.parent_thread_id) == ("ses_1", "ses_2", "ses_1")


@pytest.mark.parametrize("name", ["session_id", "session-id", "x-session-affinity", "conversation_id"])
def test_other_session_headers_name_the_conversation(name: str) -> None:
    identity = found(clues({name: "abc"}))
    assert (identity.conversation_id, identity.rule, identity.evidence) == ("abc", "client_header", f"{name}=abc")


@pytest.mark.parametrize(
    "user_id",
    [
        json.dumps({"device_id": DEVICE, "account_uuid": "", "session_id": UUID}),
        f"user_{DEVICE}_account__session_{UUID}",
        f"user_{DEVICE}_account_{UUID}_session_{UUID}",
    ],
)
def test_claude_codes_user_id_holds_the_session(user_id: str) -> None:
    identity = found(clues(hints=IdentityHints(metadata_user_id=user_id)))
    assert (identity.conversation_id, identity.rule) == (UUID, "body_field")


@pytest.mark.parametrize(
    "user_id", ["", "user-4711", "{", '{"session_id": 7}', '{"session_id": "x"}', "user_1_session_2", "[" * 5000]
)
def test_any_other_user_id_is_an_end_user_and_no_session(user_id: str) -> None:
    assert declare(clues(hints=IdentityHints(metadata_user_id=user_id))) is None


def test_codex_client_metadata_identifies_turns_that_have_no_headers() -> None:
    hints = IdentityHints(client_metadata={"thread_id": "t", "session_id": "s"}, prompt_cache_key=UUID)
    identity = found(clues(hints=hints))
    assert (identity.conversation_id, identity.thread_id) == ("s", "t")


@pytest.mark.parametrize("key", [UUID, UUID.replace("-", ""), "ses_dfa4cdffeffe8ZqmO3504lbrTs"])
def test_a_prompt_cache_key_counts_when_it_is_an_id(key: str) -> None:
    assert found(clues(hints=IdentityHints(prompt_cache_key=key))).conversation_id == key


@pytest.mark.parametrize("key", ["my-app", "prod-v1", "support_bot", "1234"])
def test_an_applications_constant_cache_key_does_not_merge_its_traffic(key: str) -> None:
    assert declare(clues(hints=IdentityHints(prompt_cache_key=key))) is None


def test_connection_and_request_ids_are_no_identity() -> None:
    assert declare(clues({"x-client-request-id": UUID, "x-request-id": UUID, "traceparent": "00-ab"})) is None


def test_what_several_runs_may_share_says_so() -> None:
    assert found(clues(tags=["nightly"])).is_shared
    assert found(clues(hints=IdentityHints(prompt_cache_key=UUID))).is_shared
    assert not found(clues({"x-claude-code-session-id": UUID})).is_shared


def test_no_signal_is_no_identity() -> None:
    assert declare(clues({"accept": "*/*"})) is None


def test_recorded_agents_are_told_apart_by_their_own_headers() -> None:
    """Every captured run of Claude Code and Codex: one conversation a run, as the run's name says nothing else."""
    for client, runs in (("claude", ["par2", "multi3"]), ("codex", ["multi3", "par2"])):
        for run in runs:
            ids = set()
            for path in sorted((corpus_dir() / "clients" / client / run).glob("*.json")):
                captured = json.loads(path.read_bytes())
                if captured.get("method") == "POST":
                    ids.add(found(clues(dict(captured["headers"]))).conversation_id)
            assert len(ids) <= 1, (client, run)
