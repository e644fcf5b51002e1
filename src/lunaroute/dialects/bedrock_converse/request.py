"""Converse request bodies → RequestFacts.

In: the decoded body. Out: facts; the model stands in the path. Only the outline is decoded here; each
message is read on its own (`message`).
"""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.dialects.bedrock_converse.message import read_message
from lunaroute.dialects.facts import RequestFacts
from lunaroute.dialects.loose import as_dict, as_list, length_of
from lunaroute.dialects.resent import ResentReader
from lunaroute.dialects.turn import request_text

_NOTHING = msgspec.Raw()


class _Body(msgspec.Struct):
    messages: msgspec.Raw = _NOTHING
    system: msgspec.Raw = _NOTHING
    toolConfig: Any = None


_bodies = ResentReader(msgspec.json.Decoder(_Body), "messages", read_message)


def read_request(body: bytes) -> RequestFacts:
    read = _bodies.read(body)
    if read is None:
        return RequestFacts(is_valid=False)
    found, messages, marks = read.outline, read.messages, read.marks
    tool_count = len(as_list(as_dict(found.toolConfig).get("tools")))
    return RequestFacts(
        request_text=request_text(messages),
        message_count=len(messages),
        has_system_prompt=length_of(found.system) > 0,
        has_tools=tool_count > 0,
        tool_count=tool_count,
        messages=messages,
        marks=marks,
        is_portable=read.is_portable,
    )
