"""What a client says of itself in a request."""

from __future__ import annotations

from typing import Any

import msgspec


class ClientHints(msgspec.Struct, frozen=True):
    agent: str | None = None
    """The agent of the client's that asks: a name (Codex) or an id (Claude Code)."""
    project: str | None = None
    """The folder that it works in."""


class TurnMetadata(msgspec.Struct):
    agent_name: Any = None
    workspaces: Any = None
