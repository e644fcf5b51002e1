"""Converse request bodies → RequestFacts.

In: the decoded body. Out: facts; the model stands in the path. Only the outline is decoded here; each
message is read on its own (`message`).
"""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.dialects.bedrock_converse.message import read_message, system_blocks, tool_blocks
from lunaroute.dialects.facts import RequestFacts
from lunaroute.dialects.loose import as_dict, read_as
from lunaroute.dialects.message_digest import settings_digest
from lunaroute.dialects.resent import ResentReader
from lunaroute.dialects.turn import request_text

_NOTHING = msgspec.Raw()


class _Body(msgspec.Struct):
    messages: msgspec.Raw = _NOTHING
    system: msgspec.Raw = _NOTHING
    toolConfig: msgspec.Raw = _NOTHING
    additionalModelRequestFields: Any = None


class _ToolConfig(msgspec.Struct):
    tools: msgspec.Raw = _NOTHING
    toolChoice: Any = None


_tool_config_decoder = msgspec.json.Decoder(_ToolConfig)
_bodies = ResentReader(msgspec.json.Decoder(_Body), "messages", read_message)


def read_request(body: bytes) -> RequestFacts:
    read = _bodies.read(body)
    if read is None:
        return RequestFacts(is_valid=False)
    found, messages, marks = read.outline, read.messages, read.marks
    tool_config = read_as(found.toolConfig, _tool_config_decoder) or _ToolConfig()
    tools, system = tool_blocks(tool_config.tools), system_blocks(found.system)
    return RequestFacts(
        request_text=request_text(messages),
        message_count=len(messages),
        has_system_prompt=bool(system),
        has_tools=bool(tools),
        tool_count=len(tools),
        tool_blocks=tools,
        system_blocks=system,
        cache_settings=settings_digest(
            tool_config.toolChoice, as_dict(found.additionalModelRequestFields).get("thinking")
        ),
        messages=messages,
        marks=marks,
        is_portable=read.is_portable,
    )
