"""What a request itself says about whose it is: tag, headers and body fields in, conversation and thread out (WIRE A4,
steps 1-3). `placement` goes on from there with what our own recording tells.

The rules are tried in order and the first that knows an answer wins. An identity holds within one scope, provider +
credential; the caller keeps scopes apart.

Never used as identity, because they are not: x-client-request-id, the connection, installation and device ids,
`user`, a hash of the first message (it merges all runs of a client that opens with fixed examples).
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from .clues import Clues, Declared, ThreadKind
from .headers import HeaderTexts


def declare(clues: Clues) -> Declared | None:
    """Whose request it says it is; None when it does not say."""
    for rule in RULES:
        declared = rule(clues)
        if declared is not None:
            return declared
    return None


def _by_session_tag(clues: Clues) -> Declared | None:
    """The user named the session: a path segment or a configured header, read by the relay."""
    if not clues.session_tags:
        return None
    tag = clues.session_tags[0]
    thread_id, parent_id, kind = _thread(clues.headers)
    return Declared(
        conversation_id=tag,
        rule="session_tag",
        evidence=f"session_tag={tag}",
        thread_id=thread_id,
        parent_thread_id=parent_id,
        thread_kind=kind,
        is_shared=True,
    )


def _by_claude_code_header(clues: Clues) -> Declared | None:
    """Claude Code ≥ 2.1: sub-agents share the session id and add an agent id."""
    return _header_identity(clues.headers, "x-claude-code-session-id")


def _by_codex_headers(clues: Clues) -> Declared | None:
    """Codex ≥ 0.169: `session-id` is the root's for sub-agents too, `thread-id` is each one's own."""
    if clues.headers.get("thread-id") is None:
        return None
    return _header_identity(clues.headers, "session-id")


def _by_opencode_headers(clues: Clues) -> Declared | None:
    """opencode: a sub-agent has its own `x-session-id` and names its parent's."""
    if clues.headers.get("x-session-id") is None:
        return None
    parent = _header_identity(clues.headers, "x-parent-session-id")
    return parent or _header_identity(clues.headers, "x-session-id")


def _by_other_header(clues: Clues) -> Declared | None:
    """Older Codex (`session_id`), pi, and others of the same habit."""
    for name in ("session_id", "session-id", "x-session-affinity", "conversation_id"):
        declared = _header_identity(clues.headers, name)
        if declared is not None:
            return declared
    return None


def _header_identity(headers: HeaderTexts, name: str) -> Declared | None:
    value = headers.get(name)
    if value is None:
        return None
    thread_id, parent_id, kind = _thread(headers)
    return Declared(
        conversation_id=value,
        rule="client_header",
        evidence=f"{name}={value}",
        thread_id=thread_id,
        parent_thread_id=parent_id,
        thread_kind=kind,
    )


def _thread(headers: HeaderTexts) -> tuple[str | None, str | None, ThreadKind]:
    """(thread, its parent, its kind) as the client's headers tell."""
    session_id = headers.get("x-claude-code-session-id")
    if session_id is not None:
        agent_id = headers.get("x-claude-code-agent-id")
        return (session_id, None, "main") if agent_id is None else (agent_id, session_id, "subagent")
    if headers.get("thread-id") is not None:
        parent_id = headers.get("x-codex-parent-thread-id")
        is_main = parent_id is None and headers.get("x-openai-subagent") is None
        return headers.get("thread-id"), parent_id, "main" if is_main else "subagent"
    parent_id = headers.get("x-parent-session-id")
    return headers.get("x-session-id"), parent_id, "main" if parent_id is None else "subagent"


_CLAUDE_USER_ID = re.compile(r"user_[0-9A-Za-z]+_account_[0-9a-f-]*_session_([0-9a-fA-F-]{36})")
"""Claude Code < 2.1."""


class _ClaudeUserId(msgspec.Struct):
    """Claude Code ≥ 2.1: `metadata.user_id` is itself a JSON object, as a string."""

    device_id: str
    session_id: str


_claude_user_id = msgspec.json.Decoder(_ClaudeUserId)


def _by_claude_user_id(clues: Clues) -> Declared | None:
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


def _by_client_metadata(clues: Clues) -> Declared | None:
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


def _by_prompt_cache_key(clues: Clues) -> Declared | None:
    """Coding agents put their session id there. Others use a constant of the application, which would merge all
    its traffic into one session for ever: only a key that has the form of an id counts."""
    key = clues.hints.prompt_cache_key
    if not key or _UNIQUE_KEY.fullmatch(key) is None:
        return None
    return msgspec.structs.replace(_body_identity("prompt_cache_key", key, None, None), is_shared=True)


def _body_identity(field: str, value: str, thread_id: str | None, parent_id: str | None) -> Declared:
    return Declared(
        conversation_id=value,
        rule="body_field",
        evidence=f"{field}={value}",
        thread_id=thread_id,
        parent_thread_id=parent_id,
        thread_kind="main" if parent_id is None else "subagent",
    )


RULES: tuple[Callable[[Clues], Declared | None], ...] = (
    _by_session_tag,
    _by_claude_code_header,
    _by_codex_headers,
    _by_opencode_headers,
    _by_other_header,
    _by_claude_user_id,
    _by_client_metadata,
    _by_prompt_cache_key,
)
"""WIRE A4 in order: 1, 2 (four clients), 3 (three fields)."""
