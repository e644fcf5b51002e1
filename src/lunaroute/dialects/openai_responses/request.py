"""Responses request bodies → RequestFacts.

In: the decoded body; `input` is a string or a list of items. Out: facts. Only the outline is decoded; contents stay
raw unless they are a tool's output or this turn's user text.
"""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.dialects.facts import IdentityHints, RequestFacts, ToolResult
from lunaroute.dialects.loose import as_dict, as_text, length_of, opening_of, read_object, read_objects, read_text
from lunaroute.dialects.user_text import user_text

_NOTHING = msgspec.Raw()


class _Item(msgspec.Struct):
    type: Any = None
    role: Any = None
    id: Any = None
    content: msgspec.Raw = _NOTHING
    call_id: Any = None
    output: msgspec.Raw = _NOTHING
    status: Any = None
    execution: Any = None


class _Body(msgspec.Struct):
    model: Any = None
    stream: Any = None
    instructions: msgspec.Raw = _NOTHING
    input: msgspec.Raw = _NOTHING
    tools: msgspec.Raw = _NOTHING
    prompt_cache_key: Any = None
    client_metadata: Any = None
    previous_response_id: Any = None


class _Part(msgspec.Struct):
    type: Any = None
    text: Any = None


_body_decoder = msgspec.json.Decoder(_Body)
_items_decoder = msgspec.json.Decoder(list[_Item])
_parts_decoder = msgspec.json.Decoder(list[_Part])
_EMPTY = (b"", b'""', b"[]", b"null")


def read_request(body: bytes) -> RequestFacts:
    found = read_object(body, _body_decoder)
    if found is None:
        return RequestFacts(is_valid=False)
    only_text = read_text(found.input)
    items = read_objects(found.input, _items_decoder)
    tool_count = length_of(found.tools)
    has_system_item = any(item.role in ("system", "developer") for item in items)
    return RequestFacts(
        model=as_text(found.model),
        is_streaming=found.stream is True,
        request_text=user_text([only_text]) if only_text is not None else _request_text(items),
        message_count=1 if only_text is not None else len(items),
        has_system_prompt=bytes(found.instructions) not in _EMPTY or has_system_item,
        has_tools=tool_count > 0,
        tool_count=tool_count,
        tool_results=[_tool_result(item) for item in items if _is_tool_result(item)],
        hints=_hints(found),
    )


def _hints(body: _Body) -> IdentityHints:
    metadata = {key: value for key, value in as_dict(body.client_metadata).items() if isinstance(value, str)}
    return IdentityHints(
        prompt_cache_key=as_text(body.prompt_cache_key),
        client_metadata=metadata or None,
        previous_response_id=as_text(body.previous_response_id),
    )


def _is_answer(item: _Item) -> bool:
    """Whether the model said it: an assistant message, reasoning, or any kind of call."""
    kind = as_text(item.type) or "message"
    return item.role == "assistant" or kind == "reasoning" or kind.endswith("_call")


def _request_text(items: list[_Item]) -> str:
    start = len(items)
    while start and not _is_answer(items[start - 1]):
        start -= 1
    texts: list[str] = []
    for item in items[start:]:
        if item.role == "user":
            texts += _texts(item.content)
    return user_text(texts)


def _texts(content: msgspec.Raw) -> list[str]:
    whole = read_text(content)
    if whole is not None:
        return [whole]
    return [part.text for part in read_objects(content, _parts_decoder) if isinstance(part.text, str)]


def _is_tool_result(item: _Item) -> bool:
    """Outputs of tools that the client executes; the provider's own (`program_output`) are echoes."""
    kind = as_text(item.type) or ""
    if not isinstance(item.call_id or item.id, str):
        return False
    return kind.endswith("_call_output") or (kind == "tool_search_output" and item.execution == "client")


def _tool_result(item: _Item) -> ToolResult:
    texts = _texts(item.output)
    output_text = "\n".join(texts)
    size = len(output_text.encode("utf-8", "replace"))
    opening = opening_of(item.output)
    parts = read_objects(item.output, _parts_decoder)
    if opening == b"{" or any(not isinstance(part.text, str) for part in parts):
        size = len(bytes(item.output))
        # Shell and computer outputs are objects of their own; their JSON is the text there is.
        output_text = output_text or bytes(item.output).decode("utf-8", "replace")
    return ToolResult(
        # A local shell output names its call by `id`.
        tool_call_id=item.call_id if isinstance(item.call_id, str) else item.id,
        output_text=output_text,
        output_size_bytes=size,
        # Only apply_patch says how it went: completed or failed.
        is_error=item.status == "failed" if item.type == "apply_patch_call_output" else None,
    )
