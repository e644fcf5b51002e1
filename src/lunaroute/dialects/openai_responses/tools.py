"""The tools that a Responses request offers, in its `tools` or in an `additional_tools` item."""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.dialects.loose import as_text, length_of, opening_of, read_as


class _Tool(msgspec.Struct):
    type: Any = None
    tools: msgspec.Raw = msgspec.Raw()


_raws_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_tool_decoder = msgspec.json.Decoder(_Tool)


def count_tools(tools: msgspec.Raw) -> int:
    """How many there are; those in a namespace count one by one, the namespace itself does not."""
    if opening_of(tools) != b"[":
        return 0
    return sum(_count(raw) for raw in read_as(tools, _raws_decoder) or [])


def _count(raw: msgspec.Raw) -> int:
    tool = read_as(raw, _tool_decoder) if opening_of(raw) == b"{" else None
    is_group = tool is not None and as_text(tool.type) == "namespace"
    return length_of(tool.tools) if tool is not None and is_group else 1
