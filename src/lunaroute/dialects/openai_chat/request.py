"""Chat Completions request bodies → RequestFacts.

In: the decoded body. Out: facts. Only the outline is decoded here; each message is read on its own (`message`).
"""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.dialects.facts import IdentityHints, RequestFacts
from lunaroute.dialects.loose import as_dict, as_text
from lunaroute.dialects.message_digest import settings_digest, tool_blocks
from lunaroute.dialects.openai_chat.message import read_message
from lunaroute.dialects.resent import ResentReader
from lunaroute.dialects.turn import request_text

_NOTHING = msgspec.Raw()


class _Body(msgspec.Struct):
    model: Any = None
    stream: Any = None
    messages: msgspec.Raw = _NOTHING
    tools: msgspec.Raw = _NOTHING
    functions: msgspec.Raw = _NOTHING
    prompt_cache_key: Any = None
    client_metadata: Any = None
    previous_response_id: Any = None
    response_format: Any = None


_bodies = ResentReader(msgspec.json.Decoder(_Body), "messages", read_message)


def read_request(body: bytes) -> RequestFacts:
    read = _bodies.read(body)
    if read is None:
        return RequestFacts(is_valid=False)
    found, messages, marks = read.outline, read.messages, read.marks
    # `functions` is the older name of `tools`.
    tools = tool_blocks(found.tools) + tool_blocks(found.functions)
    return RequestFacts(
        model=as_text(found.model),
        is_streaming=found.stream is True,
        request_text=request_text(messages),
        message_count=len(messages),
        has_system_prompt=any(message.role == "system" for message in messages),
        has_tools=bool(tools),
        tool_count=len(tools),
        has_output_schema=as_dict(found.response_format).get("type") == "json_schema",
        tool_blocks=tools,
        cache_settings=settings_digest(found.response_format),
        messages=messages,
        marks=marks,
        is_portable=read.is_portable,
        hints=_hints(found),
    )


def _hints(body: _Body) -> IdentityHints:
    metadata = {key: value for key, value in as_dict(body.client_metadata).items() if isinstance(value, str)}
    return IdentityHints(
        prompt_cache_key=as_text(body.prompt_cache_key),
        client_metadata=metadata or None,
        previous_response_id=as_text(body.previous_response_id),
    )
