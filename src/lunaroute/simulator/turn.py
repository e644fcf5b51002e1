"""The values between the wire formats and the script: what was asked, what is answered, what it costs in
tokens.

In: a dialect reads a request body into a `Prompt`. Out: the script makes a `Turn` of it, and a dialect
writes the `Reply` as JSON or as the steps of a stream. Invariant: nothing here knows HTTP or a wire format.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

DialectName = Literal["anthropic_messages", "openai_chat", "openai_responses", "gemini"]


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool the client offers."""

    name: str
    schema: dict[str, Any]
    """JSON schema of its arguments; empty when the client gave none."""
    namespace: str | None = None
    """The group of tools it is in (OpenAI Responses)."""
    is_freeform: bool = False
    """It takes one text instead of arguments (OpenAI's custom tools); the argument `input` stands for it here."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of a prompt that is cached as a whole: the tools, the system text, one message."""

    canonical: bytes
    """Its JSON without cache markers; equal content gives equal bytes on every re-send."""
    is_marked: bool
    """It carries an Anthropic `cache_control` marker."""
    is_one_hour: bool = False
    """That marker asks for the one hour cache."""


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """What one request asks for."""

    model: str
    is_stream: bool
    user_text: str
    """Text of the newest user message that is not merely tool results."""
    round_count: int
    """How many times tools have been called since that message."""
    last_result: str
    """Text of the newest tool results, joined."""
    tools: tuple[Tool, ...]
    forced_tool: str | None
    is_thinking: bool
    max_output_tokens: int | None
    parts: tuple[Part, ...]
    is_auto_cached: bool
    """The provider caches every prefix unasked (OpenAI) instead of at markers (Anthropic)."""


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    """Empty where the model tells none."""
    name: str
    arguments: str
    """JSON text; of a free-form tool the text itself."""
    namespace: str | None = None
    is_freeform: bool = False


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """What the scripted model says."""

    thinking: str
    text: str
    calls: tuple[ToolCall, ...]
    is_cut_short: bool = False
    """The output token limit ended it."""


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """The truth about one exchange's tokens, before a dialect puts it in its own terms."""

    input_tokens: int
    """All input, cache reads and writes included."""
    cache_read_tokens: int
    cache_write_tokens: int
    is_one_hour: bool
    output_tokens: int
    """All output, thinking included."""
    thinking_tokens: int


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a dialect needs to write a response."""

    body: dict[str, Any]
    """The request's body, for the fields a response repeats."""
    prompt: Prompt
    turn: Turn
    tokens: Tokens
    id: str
    """Message, completion or response id, in the dialect's form."""
    created_s: int
    is_usage_hidden: bool = False
    is_thinking_usage_hidden: bool = False


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One write of a response body and the pause before it (at natural speed)."""

    data: bytes
    delay_ms: float = 0.0


class RequestRefusedError(Exception):
    """The request cannot be answered; becomes the dialect's error body."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
