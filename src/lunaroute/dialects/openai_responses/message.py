"""One Responses input or output item → MessageFacts.

In: the item's JSON, of a request or of an answer. Out: facts that depend on nothing else.
"""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.dialects.facts import ContentBlock, MessageFacts, Role, ToolResult
from lunaroute.dialects.loose import as_int, as_json, as_text, objects_in, opening_of, read_as, read_text
from lunaroute.dialects.message_digest import (
    call_piece,
    content_block,
    message_digest,
    other_piece,
    result_piece,
    text_piece,
)
from lunaroute.dialects.openai_responses.tools import count_tools
from lunaroute.dialects.turn import read_each

_NOTHING = msgspec.Raw()


class _Item(msgspec.Struct):
    type: Any = None
    role: Any = None
    id: Any = None
    content: msgspec.Raw = _NOTHING
    call_id: Any = None
    name: Any = None
    output: msgspec.Raw = _NOTHING
    status: Any = None
    execution: Any = None
    tools: msgspec.Raw = _NOTHING
    author: Any = None
    recipient: Any = None


class _Part(msgspec.Struct):
    type: Any = None
    text: Any = None
    refusal: Any = None
    outcome: Any = None
    """Of a command: `{type: exit, exit_code}` or `{type: timeout}`."""


class _Response(msgspec.Struct):
    output: msgspec.Raw = _NOTHING


_response_decoder = msgspec.json.Decoder(_Response)
_item_decoder = msgspec.json.Decoder(_Item)
_part_decoder = msgspec.json.Decoder(_Part)
_ROLES: dict[Any, Role] = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}
_Parts = list[tuple[msgspec.Raw, _Part]]


def read_message(raw: msgspec.Raw) -> MessageFacts:
    item = read_as(raw, _item_decoder) or _Item()
    kind = as_text(item.type) or "message"
    role = _role(item, kind)
    parts = _parts(item.content)
    return MessageFacts(
        role=role,
        size_bytes=len(memoryview(raw)),
        texts=_texts(parts),
        tool_results=[_tool_result(item)] if _is_tool_result(item, kind) else [],
        tool_call_ids=[item.call_id] if kind.endswith("_call") and isinstance(item.call_id, str) else [],
        tool_count=count_tools(item.tools) if kind == "additional_tools" else 0,
        digest=message_digest(role, _pieces(raw, item, kind, parts)),
        blocks=_blocks(raw, kind, parts),
    )


def read_answer(message: msgspec.Raw | dict[str, Any] | None) -> list[MessageFacts]:
    """The output items: clients repeat them as input items."""
    found = None if message is None else read_as(as_json(message), _response_decoder)
    return [] if found is None else read_each(found.output, read_message)


def text_message(raw: msgspec.Raw, text: str) -> MessageFacts:
    """`input` that is a plain string: one message of the user."""
    return MessageFacts(
        role="user",
        size_bytes=len(memoryview(raw)),
        texts=[text],
        digest=message_digest("user", [text_piece(text)]),
        blocks=[content_block("input_text", raw, text)],
    )


def _role(item: _Item, kind: str) -> Role:
    if kind == "reasoning" or kind.endswith("_call"):
        return "assistant"
    if kind.endswith("_output"):
        return "tool"
    if kind == "agent_message":
        return "user" if _is_from_above(item) else "other"
    return _ROLES.get(item.role, "other") if isinstance(item.role, str) else "other"


def _is_from_above(item: _Item) -> bool:
    """Codex's agents are named like paths: what `/root` tells `/root/counter` is a task, the other way a report."""
    author, recipient = as_text(item.author), as_text(item.recipient)
    return author is not None and recipient is not None and recipient.startswith(f"{author}/")


def _parts(content: msgspec.Raw) -> _Parts:
    """A string is one part of text."""
    whole = read_text(content)
    if whole is not None:
        return [(content, _Part(type="text", text=whole))]
    return [(one, read_as(one, _part_decoder) or _Part()) for one in objects_in(content)]


def _texts(parts: _Parts) -> list[str]:
    return [part.text for _, part in parts if isinstance(part.text, str)]


def _pieces(raw: msgspec.Raw, item: _Item, kind: str, parts: _Parts) -> list[str]:
    if kind == "message":
        return [_piece(one, part) for one, part in parts]
    if kind == "reasoning":
        return []
    if kind.endswith("_call") and isinstance(item.call_id, str):
        return [call_piece(item.call_id, item.name, None)]
    if _is_tool_result(item, kind):
        return [result_piece(_result_id(item), item.name, None)]
    return [other_piece(raw)]


def _piece(raw: msgspec.Raw, part: _Part) -> str:
    text = part.text if isinstance(part.text, str) else part.refusal
    return text_piece(text) if isinstance(text, str) else other_piece(raw)


def _blocks(raw: msgspec.Raw, kind: str, parts: _Parts) -> list[ContentBlock]:
    if kind != "message" or not parts:
        return [content_block(kind, raw)]
    return [content_block(as_text(part.type) or "", one, as_text(part.text)) for one, part in parts]


def _is_tool_result(item: _Item, kind: str) -> bool:
    """Outputs of tools that the client executes; the provider's own (`program_output`) are echoes."""
    if not isinstance(item.call_id or item.id, str):
        return False
    return kind.endswith("_call_output") or (kind == "tool_search_output" and item.execution == "client")


def _result_id(item: _Item) -> str:
    """The call it answers; a local shell output names it by `id`."""
    return str(item.call_id if isinstance(item.call_id, str) else item.id)


def _tool_result(item: _Item) -> ToolResult:
    parts = _parts(item.output)
    output_text = "\n".join(_texts(parts))
    size = len(output_text.encode("utf-8", "replace"))
    if opening_of(item.output) == b"{" or any(not isinstance(part.text, str) for _, part in parts):
        size = len(bytes(item.output))
        # Shell and computer outputs are objects of their own; their JSON is the text there is.
        output_text = output_text or bytes(item.output).decode("utf-8", "replace")
    exit_codes = [part.outcome.get("exit_code") for _, part in parts if isinstance(part.outcome, dict)]
    is_timeout = any(part.outcome.get("type") == "timeout" for _, part in parts if isinstance(part.outcome, dict))
    return ToolResult(
        tool_call_id=_result_id(item),
        output_text=output_text,
        output_size_bytes=size,
        # apply_patch says how it went: completed or failed.
        is_error=item.status == "failed" if item.type == "apply_patch_call_output" else is_timeout or None,
        exit_code=_exit_code(exit_codes),
    )


def _exit_code(codes: list[Any]) -> int | None:
    """Of several commands, the first that failed."""
    known = [code for code in codes if as_int(code) is not None]
    return next((code for code in known if code != 0), 0 if known else None)
