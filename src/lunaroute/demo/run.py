"""What an agent tells while it runs and when it is done.

Invariant: the numbers are what the SDK saw, in the meaning CONTRACT §3 gives them, so they are an
independent truth for what a recorder says about the same sessions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """A sign of life of one agent."""

    name: str
    request_count: int
    doing: str
    """A few words: the tool that runs, `thinking`, `done` …"""


OnProgress = Callable[[Progress], None]


class AgentSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One agent's session as its SDK saw it."""

    name: str
    """Also the session tag its requests carried."""
    dialect: str
    model: str
    """As requested."""
    request_count: int
    """HTTP requests sent, the SDK's retries included."""
    error_count: int
    """Of these, answered with an HTTP error."""
    input_tokens: int
    """All input, cache reads and writes included."""
    output_tokens: int
    thinking_tokens: int
    cache_read_tokens: int
    cache_creation_tokens: int
    tool_call_count: int
    answer: str
    """The last text."""


class AgentRun:
    """Counts one agent's work and reports it."""

    def __init__(self, name: str, dialect: str, model: str, on_progress: OnProgress) -> None:
        self.name, self.dialect, self.model = name, dialect, model
        self._on_progress = on_progress
        self._totals = dict.fromkeys(
            ("input_tokens", "output_tokens", "thinking_tokens", "cache_read_tokens", "cache_creation_tokens"), 0
        )
        self.request_count = 0
        self.error_count = 0
        self.tool_call_count = 0
        self.answer = ""

    def doing(self, what: str) -> None:
        self._on_progress(Progress(name=self.name, request_count=self.request_count, doing=what))

    async def on_request(self, _: Any) -> None:
        """HTTP client hook: also sees the retries the SDK makes by itself."""
        self.request_count += 1
        self.doing("waiting for the model")

    async def on_response(self, response: Any) -> None:
        if response.status_code >= 400:
            self.error_count += 1
            self.doing(f"HTTP {response.status_code}, trying again")

    def used(self, **tokens: int | None) -> None:
        """Add one response's usage."""
        for name, count in tokens.items():
            self._totals[name] += count or 0

    def summary(self) -> AgentSummary:
        self.doing("done")
        return AgentSummary(
            name=self.name,
            dialect=self.dialect,
            model=self.model,
            request_count=self.request_count,
            error_count=self.error_count,
            tool_call_count=self.tool_call_count,
            answer=self.answer,
            **self._totals,
        )
