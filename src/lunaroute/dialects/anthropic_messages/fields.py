"""The fields of Anthropic's JSON that are read. What may be of any type, or long, is decoded where it is needed.

Apart from their readers, which are compiled; records cannot be.
"""

from __future__ import annotations

from typing import Any

import msgspec

_NOTHING = msgspec.Raw()


class SentBody(msgspec.Struct, gc=False):
    """Of a request."""

    model: Any = None
    stream: Any = None
    system: msgspec.Raw = _NOTHING
    tools: msgspec.Raw = _NOTHING
    messages: msgspec.Raw = _NOTHING
    metadata: Any = None
    thread: Any = None
    diagnostics: Any = None
    output_config: Any = None
    output_format: Any = None
    tool_choice: Any = None
    thinking: Any = None
    safeguards: msgspec.Raw = _NOTHING


class SentMessage(msgspec.Struct, gc=False):
    """Of a request, or of an answer that is read as one."""

    role: Any = None
    content: msgspec.Raw = _NOTHING


class SentBlock(msgspec.Struct, gc=False):
    """Of its content."""

    type: Any = None
    text: Any = None
    id: Any = None
    name: Any = None
    tool_use_id: Any = None
    content: msgspec.Raw = _NOTHING
    is_error: Any = None


class AnswerBlock(msgspec.Struct, gc=False):
    """Of the content of an answer."""

    type: Any = None
    text: Any = None
    thinking: Any = None
    id: Any = None
    name: Any = None
    input: msgspec.Raw = _NOTHING


class AnswerMessage(msgspec.Struct, gc=False):
    """Of a response."""

    id: Any = None
    model: Any = None
    content: list[AnswerBlock] | None = None
    stop_reason: Any = None
    usage: Any = None
    error: Any = None
