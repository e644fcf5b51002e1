"""Which conversation a request belongs to: its clues in, conversation and thread out (WIRE A4).

The rules are tried in order and the first that knows an answer wins: what the user said, what the client says in
headers, what it says in the body, what our own recording of earlier responses tells. No rule matching means a
conversation of its own. An identity holds within one scope, provider + credential; the caller keeps scopes apart.

Never used as identity, because they are not: x-client-request-id, the connection, installation and device ids,
`user`, a hash of the first message (it merges all runs of a client that opens with fixed examples).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Literal

import msgspec

from lunaroute.dialects.facts import IdentityHints

from .headers import HeaderTexts

LinkKind = Literal["response", "tool"]
"""What a link is made of: the id of a response or message, or of a tool call in one."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    conversation_id: str
    rule: str
    """`session_tag`, `client_header`, `body_field`, `response_id` or `tool_call_id`; `new` is made by the caller."""
    evidence: str
    """What decided, as `name=value`."""
    thread_id: str | None = None
    """One linear history inside the conversation: the main one, or a sub-agent's."""
    parent_thread_id: str | None = None


class Clues(msgspec.Struct, frozen=True, kw_only=True):
    """All that a request offers to tell whose it is."""

    session_tags: list[str]
    headers: HeaderTexts
    hints: IdentityHints
    tool_result_ids: Iterable[str]
    """Newest first."""
    linked: Callable[[LinkKind, str], str | None]
    """The conversation whose recorded response had this id (in this request's scope)."""


def identify(clues: Clues) -> Identity | None:
    """Whose request it is; None when nothing tells (it then is a conversation of its own)."""
    for rule in RULES:
        identity = rule(clues)
        if identity is not None:
            return identity
    return None


def _by_session_tag(clues: Clues) -> Identity | None:
    """The user named the session: a path segment or a configured header, read by the relay."""
    if not clues.session_tags:
        return None
    tag = clues.session_tags[0]
    thread_id, parent_id = _thread(clues.headers)
    return Identity(
        conversation_id=tag,
        rule="session_tag",
        evidence=f"session_tag={tag}",
        thread_id=thread_id,
        parent_thread_id=parent_id,
    )


def _by_claude_code_header(clues: Clues) -> Identity | None:
    """Claude Code ≥ 2.1: sub-agents share the session id and add an agent id."""
    return _header_identity(clues.headers, "x-claude-code-session-id")


def _by_codex_headers(clues: Clues) -> Identity | None:
    """Codex ≥ 0.169: `session-id` is the root's for sub-agents too, `thread-id` is each one's own."""
    if clues.headers.get("thread-id") is None:
        return None
    return _header_identity(clues.headers, "session-id")


def _by_opencode_headers(clues: Clues) -> Identity | None:
    """opencode: a sub-agent has its own `x-session-id` and names its parent's."""
    if clues.headers.get("x-session-id") is None:
        return None
    parent = _header_identity(clues.headers, "x-parent-session-id")
    return parent or _header_identity(clues.headers, "x-session-id")


def _by_other_header(clues: Clues) -> Identity | None:
    """Older Codex (`session_id`), pi, and others of the same habit."""
    for name in ("session_id", "session-id", "x-session-affinity", "conversation_id"):
        identity = _header_identity(clues.headers, name)
        if identity is not None:
            return identity
    return None


def _header_identity(headers: HeaderTexts, name: str) -> Identity | None:
    value = headers.get(name)
    if value is None:
        return None
    thread_id, parent_id = _thread(headers)
    return Identity(
        conversation_id=value,
        rule="client_header",
        evidence=f"{name}={value}",
        thread_id=thread_id,
        parent_thread_id=parent_id,
    )


def _thread(headers: HeaderTexts) -> tuple[str | None, str | None]:
    """(thread, its parent) as the client's headers tell."""
    session_id = headers.get("x-claude-code-session-id")
    if session_id is not None:
        agent_id = headers.get("x-claude-code-agent-id")
        return (session_id, None) if agent_id is None else (agent_id, session_id)
    if headers.get("thread-id") is not None:
        return headers.get("thread-id"), headers.get("x-codex-parent-thread-id")
    return headers.get("x-session-id"), headers.get("x-parent-session-id")


_CLAUDE_USER_ID = re.compile(r"user_[0-9a-f]{64}_account_[0-9a-f-]*_session_([0-9a-fA-F-]{36})")
"""Claude Code < 2.1."""


class _ClaudeUserId(msgspec.Struct):
    """Claude Code ≥ 2.1: `metadata.user_id` is itself a JSON object, as a string."""

    device_id: str
    session_id: str


_claude_user_id = msgspec.json.Decoder(_ClaudeUserId)


def _by_claude_user_id(clues: Clues) -> Identity | None:
    """In any other shape `metadata.user_id` names an end user, not a session."""
    user_id = clues.hints.metadata_user_id
    if not user_id:
        return None
    match = _CLAUDE_USER_ID.fullmatch(user_id)
    session_id = match[1] if match is not None else _session_in_json(user_id)
    if not session_id:
        return None
    return _body_identity("metadata.user_id.session_id", session_id, None, None)


def _session_in_json(user_id: str) -> str | None:
    if not user_id.startswith("{"):
        return None
    try:
        return _claude_user_id.decode(user_id).session_id
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _by_client_metadata(clues: Clues) -> Identity | None:
    """Codex, in each body: over a WebSocket there are no headers a turn could carry."""
    metadata = clues.hints.client_metadata
    if not metadata:
        return None
    for name in ("session_id", "thread_id"):
        value = metadata.get(name)
        if value:
            parent_id = metadata.get("parent_thread_id")
            return _body_identity(f"client_metadata.{name}", value, metadata.get("thread_id"), parent_id)
    return None


_UNIQUE_KEY = re.compile(r"(?:[a-z]+_)?[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}|ses_\w{16,}")


def _by_prompt_cache_key(clues: Clues) -> Identity | None:
    """Coding agents put their session id there. Others use a constant of the application, which would merge all
    its traffic into one session for ever: only a key that has the form of an id counts."""
    key = clues.hints.prompt_cache_key
    if not key or _UNIQUE_KEY.fullmatch(key) is None:
        return None
    return _body_identity("prompt_cache_key", key, None, None)


def _body_identity(field: str, value: str, thread_id: str | None, parent_id: str | None) -> Identity:
    return Identity(
        conversation_id=value,
        rule="body_field",
        evidence=f"{field}={value}",
        thread_id=thread_id,
        parent_thread_id=parent_id,
    )


def _by_previous_response(clues: Clues) -> Identity | None:
    """The provider holds the history; the request names the response it goes on from."""
    response_id = clues.hints.previous_response_id
    if not response_id:
        return None
    return _linked_identity(clues, "response", response_id, "previous_response_id")


_MOST_TOOL_RESULTS = 16
"""A request re-sends hundreds; if the newest are unknown, so is the conversation."""


def _by_tool_results(clues: Clues) -> Identity | None:
    """A tool call's id is the provider's and comes back unaltered with its result; the newest tells best."""
    for tool_call_id in islice(clues.tool_result_ids, _MOST_TOOL_RESULTS):
        identity = _linked_identity(clues, "tool", tool_call_id, "tool_call_id")
        if identity is not None:
            return identity
    return None


def _linked_identity(clues: Clues, kind: LinkKind, link_id: str, field: str) -> Identity | None:
    conversation_id = clues.linked(kind, link_id)
    if conversation_id is None:
        return None
    rule = "response_id" if kind == "response" else "tool_call_id"
    return Identity(conversation_id=conversation_id, rule=rule, evidence=f"{field}={link_id}")


RULES: tuple[Callable[[Clues], Identity | None], ...] = (
    _by_session_tag,
    _by_claude_code_header,
    _by_codex_headers,
    _by_opencode_headers,
    _by_other_header,
    _by_claude_user_id,
    _by_client_metadata,
    _by_prompt_cache_key,
    _by_previous_response,
    _by_tool_results,
)
"""WIRE A4 in order: 1, 2 (four clients), 3 (three fields), 4, 5."""
