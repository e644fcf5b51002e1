"""Gemini request bodies → RequestFacts.

In: the decoded body. Out: facts; the model stands in the path, not here. Only the outline is decoded here; each content
is read on its own (`message`). Google takes field names in both spellings, and Code Assist wraps the body in `request`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.dialects.facts import RequestFacts
from lunaroute.dialects.gemini.message import read_message
from lunaroute.dialects.loose import as_dict, as_list, as_text, read_any
from lunaroute.dialects.message_digest import content_block, tool_blocks
from lunaroute.dialects.resent import ResentReader
from lunaroute.dialects.turn import request_text

_NOTHING = msgspec.Raw()


class _Body(msgspec.Struct):
    model: Any = None
    contents: msgspec.Raw = _NOTHING
    systemInstruction: msgspec.Raw = _NOTHING
    system_instruction: msgspec.Raw = _NOTHING
    tools: msgspec.Raw = _NOTHING
    request: msgspec.Raw = _NOTHING


_bodies = ResentReader(msgspec.json.Decoder(_Body), "contents", read_message)
_EMPTY = (b"", b'""', b"{}", b"null")
_DECLARATIONS = ("functionDeclarations", "function_declarations")


def read_request(body: bytes) -> RequestFacts:
    read = _bodies.read(body)
    if read is None:
        return RequestFacts(is_valid=False)
    found, messages, marks = read.outline, read.messages, read.marks
    model = as_text(found.model)
    if not bytes(found.contents) and bytes(found.request):
        inner = _bodies.read(bytes(found.request))
        if inner is not None:
            found, messages, marks = inner.outline, inner.messages, inner.marks
    tool_count = _tool_count(found.tools)
    systems = [raw for raw in (found.systemInstruction, found.system_instruction) if bytes(raw) not in _EMPTY]
    return RequestFacts(
        model=model,
        request_text=request_text(messages),
        message_count=len(messages),
        has_system_prompt=bool(systems),
        has_tools=tool_count > 0,
        tool_count=tool_count,
        tool_blocks=tool_blocks(found.tools),
        system_blocks=[content_block("text", raw) for raw in systems],
        messages=messages,
        marks=marks,
        is_portable=read.is_portable,
    )


def _tool_count(tools: msgspec.Raw) -> int:
    """Every declared function, and every tool of Google's own, counts as one."""
    count = 0
    for tool in as_list(read_any(tools)) if bytes(tools) else []:
        for name, value in as_dict(tool).items():
            count += len(as_list(value)) if name in _DECLARATIONS else 1
    return count
