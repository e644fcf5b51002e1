"""What a client says of the agent and the project that a request is for: headers and facts in, names out.

Only fields and forms of a client's own are read: Codex's turn metadata and the block about its environment (opencode
and Claude Code have one too), Claude Code's agent id, and what a dialect's reader found (`RequestFacts.project`).
"""

from __future__ import annotations

import re

import msgspec

from lunaroute.dialects.facts import RequestFacts

from .headers import HeaderTexts
from .hints_fields import ClientHints, TurnMetadata

_FIRST_MESSAGES = 4
"""Codex puts the block in front of the conversation."""
_CODEX_FOLDER = re.compile(r"\A\s*<environment_context>.*?<cwd>([^<\n]+)</cwd>", re.DOTALL)
_AGENT_FOLDER = re.compile(r"<env>\n *Working directory: ([^\n]+)\n")


_metadata_decoder = msgspec.json.Decoder(TurnMetadata)


def client_hints(headers: HeaderTexts, facts: RequestFacts) -> ClientHints:
    """None for what the client does not say."""
    metadata = _turn_metadata(headers, facts)
    agent = metadata.agent_name if isinstance(metadata.agent_name, str) and metadata.agent_name else None
    workspaces = metadata.workspaces if isinstance(metadata.workspaces, dict) else {}
    return ClientHints(
        agent=agent or headers.get("x-openai-subagent") or headers.get("x-claude-code-agent-id"),
        project=next(iter(workspaces), None) or facts.project or _in_environment(facts),
    )


def _turn_metadata(headers: HeaderTexts, facts: RequestFacts) -> TurnMetadata:
    """Over a WebSocket it comes with each turn's body."""
    text = (facts.hints.client_metadata or {}).get("x-codex-turn-metadata") or headers.get("x-codex-turn-metadata")
    if not text:
        return TurnMetadata()
    try:
        return _metadata_decoder.decode(text)
    except (ValueError, RecursionError):
        return TurnMetadata()


def _in_environment(facts: RequestFacts) -> str | None:
    for message in facts.messages[:_FIRST_MESSAGES]:
        for text in message.texts:
            match = _CODEX_FOLDER.match(text) if message.role == "user" else None
            if match is None and message.role == "system":
                match = _AGENT_FOLDER.search(text)
            if match is not None:
                return match[1].strip()
    return None
