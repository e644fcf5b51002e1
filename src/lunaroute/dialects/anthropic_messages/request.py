"""Anthropic request bodies → RequestFacts.

In: the decoded body. Out: facts. Bodies grow to hundreds of kilobytes because agents resend their history, so only
the outline is decoded here; each message is read on its own (`message`), and what is new is told from their end.
"""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.dialects.anthropic_messages.message import read_message
from lunaroute.dialects.facts import IdentityHints, RequestFacts
from lunaroute.dialects.loose import as_dict, as_text, length_of
from lunaroute.dialects.resent import ResentReader
from lunaroute.dialects.turn import request_text

_NOTHING = msgspec.Raw()


class _Body(msgspec.Struct):
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


_bodies = ResentReader(msgspec.json.Decoder(_Body), "messages", read_message)
_EMPTY = (b"", b'""', b"[]", b"null")


def read_request(body: bytes) -> RequestFacts:
    read = _bodies.read(body)
    if read is None:
        return RequestFacts(is_valid=False)
    found, messages = read.outline, read.messages
    tool_count = length_of(found.tools)
    has_system_prompt = bytes(found.system) not in _EMPTY or any(m.role == "system" for m in messages)
    return RequestFacts(
        model=as_text(found.model),
        is_streaming=found.stream is True,
        request_text=request_text(messages),
        message_count=len(messages),
        has_system_prompt=has_system_prompt,
        has_tools=tool_count > 0,
        tool_count=tool_count,
        # `output_format` is the older name.
        has_output_schema=bool(as_dict(found.output_config).get("format") or found.output_format),
        messages=messages,
        is_portable=read.is_portable,
        hints=_hints(found),
    )


def _hints(body: _Body) -> IdentityHints:
    return IdentityHints(
        metadata_user_id=as_text(as_dict(body.metadata).get("user_id")),
        previous_response_id=as_text(as_dict(body.thread).get("previous_message_id")),
        diagnostic_message_id=as_text(as_dict(body.diagnostics).get("previous_message_id")),
    )
