"""Responses request bodies → RequestFacts.

In: the decoded body; `input` is a string or a list of items. Out: facts. Only the outline is decoded here; each item
is read on its own (`message`).
"""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.dialects.facts import IdentityHints, RequestFacts
from lunaroute.dialects.loose import as_dict, as_text, read_text
from lunaroute.dialects.marks import marked
from lunaroute.dialects.message_digest import content_block, settings_digest, tool_blocks
from lunaroute.dialects.openai_responses.message import read_message, text_message
from lunaroute.dialects.openai_responses.tools import count_tools
from lunaroute.dialects.resent import ResentReader
from lunaroute.dialects.turn import request_text

_NOTHING = msgspec.Raw()


class _Body(msgspec.Struct):
    model: Any = None
    stream: Any = None
    instructions: msgspec.Raw = _NOTHING
    input: msgspec.Raw = _NOTHING
    tools: msgspec.Raw = _NOTHING
    prompt_cache_key: Any = None
    client_metadata: Any = None
    previous_response_id: Any = None
    text: Any = None
    generate: Any = None


_bodies = ResentReader(msgspec.json.Decoder(_Body), "input", read_message)
_EMPTY = (b"", b'""', b"[]", b"null")


def read_request(body: bytes) -> RequestFacts:
    read = _bodies.read(body)
    if read is None:
        return RequestFacts(is_valid=False)
    found, messages, marks = read.outline, read.messages, read.marks
    only_text = read_text(found.input)
    if only_text is not None:
        messages = [text_message(found.input, only_text)]
        marks = marked(messages)
    tools, instructions = tool_blocks(found.tools), read_text(found.instructions)
    tool_count = count_tools(found.tools) + sum(message.tool_count for message in messages)
    is_prewarm = found.generate is False
    return RequestFacts(
        model=as_text(found.model),
        is_streaming=found.stream is True,
        request_text="" if is_prewarm else request_text(messages),
        message_count=len(messages),
        has_system_prompt=bytes(found.instructions) not in _EMPTY or any(m.role == "system" for m in messages),
        has_tools=tool_count > 0,
        tool_count=tool_count,
        has_output_schema=as_dict(as_dict(found.text).get("format")).get("type") == "json_schema",
        tool_blocks=tools,
        system_blocks=[content_block("text", found.instructions, instructions)] if instructions else [],
        cache_settings=settings_digest(as_dict(found.text).get("format")),
        messages=messages,
        marks=marks,
        is_portable=read.is_portable,
        hints=_hints(found),
        is_prewarm=is_prewarm,
    )


def _hints(body: _Body) -> IdentityHints:
    metadata = {key: value for key, value in as_dict(body.client_metadata).items() if isinstance(value, str)}
    return IdentityHints(
        prompt_cache_key=as_text(body.prompt_cache_key),
        client_metadata=metadata or None,
        previous_response_id=as_text(body.previous_response_id),
    )
