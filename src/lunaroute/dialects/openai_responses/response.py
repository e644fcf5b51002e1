"""Response objects → ResponseFacts.

In: the body of a response that is no stream, or the response object a stream ended with. Out: facts. Only what is
read is decoded: such an object echoes the request's instructions and tools.
"""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.dialects.facts import Billing, ProviderError, ResponseFacts, ToolCall
from lunaroute.dialects.loose import as_dict, as_list, as_text, encode, read_any, read_object
from lunaroute.dialects.openai_responses.usage import usage_of
from lunaroute.dialects.provider_error import error_in, read_error_body
from lunaroute.dialects.stream_notes import counted


class _Item(msgspec.Struct):
    type: Any = None
    id: Any = None
    call_id: Any = None
    name: Any = None
    arguments: Any = None
    input: Any = None
    action: Any = None
    operation: Any = None
    code: Any = None
    queries: Any = None
    environment: Any = None
    execution: Any = None
    content: Any = None
    summary: Any = None


class _Response(msgspec.Struct):
    id: Any = None
    model: Any = None
    status: Any = None
    code: Any = None
    error: Any = None
    incomplete_details: Any = None
    usage: Any = None
    service_tier: Any = None
    output: list[_Item] | None = None


_decoder = msgspec.json.Decoder(_Response)

_CLIENT_CALLS = frozenset(
    {"function_call", "custom_tool_call", "local_shell_call", "shell_call", "apply_patch_call", "computer_call"}
)
"""Calls that the client executes; `shell_call` and `tool_search_call` may be either's, see `_is_client_call`."""

_KNOWN_ITEMS = _CLIENT_CALLS | {
    "message",
    "reasoning",
    "code_interpreter_call",
    "compaction",
    "file_search_call",
    "image_generation_call",
    "mcp_approval_request",
    "mcp_call",
    "mcp_list_tools",
    "program",
    "program_output",
    "shell_call_output",
    "tool_search_call",
    "tool_search_output",
    "web_search_call",
    "x_search_call",
}


def read_response(body: bytes, status_code: int) -> ResponseFacts:
    if status_code >= 400:
        return read_error_body(body)
    found = read_object(body, _decoder, ("output",))
    if found is None:
        return ResponseFacts(message=msgspec.Raw(body) if read_any(body) is not None else None)
    items = found.output or []
    kinds = [as_text(item.type) or "" for item in items]
    text, refusal = _texts(items)
    calls = [item for item, kind in zip(items, kinds, strict=True) if kind.endswith("_call")]
    return ResponseFacts(
        response_id=as_text(found.id),
        model=as_text(found.model),
        text=text or refusal,
        thinking_text=_thinking_text(items),
        message=msgspec.Raw(body),
        usage=usage_of(found.usage),
        billing=_billing(found, items),
        tool_calls=[_tool_call(item) for item in calls if is_client_call(item.type, item)],
        server_tool_calls=[_tool_call(item) for item in calls if not is_client_call(item.type, item)],
        content_blocks=kinds,
        finish_reason=_finish_reason(found),
        has_refusal=bool(refusal),
        error=_error(found),
        unknown_events=counted(kind for kind in kinds if kind not in _KNOWN_ITEMS),
    )


def is_client_call(kind: str, item: Any) -> bool:
    """Whether the client is to execute a call item and to send its output back."""
    if kind == "shell_call":
        return not (as_text(as_dict(item.environment).get("type")) or "").startswith("container")
    if kind == "tool_search_call":
        return bool(item.execution == "client")
    return kind in _CLIENT_CALLS


def _billing(response: _Response, items: list[_Item]) -> Billing:
    """OpenAI's rule: of web searches, only the action `search` is billed; opening a page or finding in it is not."""
    searches = [item for item in items if item.type == "web_search_call"]
    return Billing(
        service_tier=as_text(response.service_tier),
        web_searches=sum(as_dict(item.action).get("type", "search") == "search" for item in searches),
        file_searches=sum(item.type == "file_search_call" for item in items),
    )


def _finish_reason(response: _Response) -> str | None:
    status = as_text(response.status)
    reason = as_text(as_dict(response.incomplete_details).get("reason"))
    return f"{status}:{reason}" if status and reason else status


def _error(response: _Response) -> ProviderError | None:
    return error_in({"error": response.error, "code": response.code})


def _texts(items: list[_Item]) -> tuple[str, str]:
    """(text, refusal) of the message items."""
    texts, refusals = [], []
    for item in items:
        parts = [as_dict(part) for part in as_list(item.content)] if item.type == "message" else []
        texts.append("".join([part["text"] for part in parts if isinstance(part.get("text"), str)]))
        refusals.append("".join([part["refusal"] for part in parts if isinstance(part.get("refusal"), str)]))
    return "\n".join([text for text in texts if text]), "\n".join([text for text in refusals if text])


def _thinking_text(items: list[_Item]) -> str:
    """Reasoning text where the provider shows it, else its summary."""
    pieces: list[str] = []
    for item in items:
        if item.type != "reasoning":
            continue
        for parts in (as_list(item.content), as_list(item.summary)):
            texts = [as_text(as_dict(part).get("text")) for part in parts]
            if any(texts):
                pieces += [text for text in texts if text]
                break
    return "\n".join(pieces)


def _tool_call(item: _Item) -> ToolCall:
    arguments = _arguments(item)
    call_id, item_id = as_text(item.call_id), as_text(item.id)
    return ToolCall(
        # Items of server tools have only their own id.
        tool_call_id=call_id or item_id,
        item_id=item_id if call_id else None,
        call_type=as_text(item.type),
        tool_name=as_text(item.name) or as_text(item.type) or "",
        arguments=arguments,
        input_size_bytes=len(arguments.encode("utf-8", "replace")),
    )


def _arguments(item: _Item) -> str:
    for value in (item.arguments, item.input, item.action, item.operation, item.code, item.queries):
        if value is not None:
            return value if isinstance(value, str) else encode(value).decode()
    return ""
