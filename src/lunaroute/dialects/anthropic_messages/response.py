"""Anthropic message objects → ResponseFacts.

In: the body of a response that is no stream, or the message rebuilt from one. Out: facts.
"""

from __future__ import annotations

import msgspec

from lunaroute.dialects.anthropic_messages.fields import AnswerBlock, AnswerMessage
from lunaroute.dialects.anthropic_messages.usage import billing_of, usage_of
from lunaroute.dialects.facts import ResponseFacts, ToolCall
from lunaroute.dialects.loose import as_text, read_any, read_object, read_text
from lunaroute.dialects.provider_error import error_in, read_error_body
from lunaroute.dialects.stream_notes import counted

_decoder = msgspec.json.Decoder(AnswerMessage)

_SERVER_TOOL_USES = frozenset({"server_tool_use", "mcp_tool_use"})
"""Calls that the provider executes itself."""

_KNOWN_BLOCKS = _SERVER_TOOL_USES | {
    "text",
    "thinking",
    "redacted_thinking",
    "tool_use",
    "advisor_tool_result",
    "bash_code_execution_tool_result",
    "code_execution_tool_result",
    "compaction",
    "container_upload",
    "fallback",
    "mcp_tool_result",
    "text_editor_code_execution_tool_result",
    "tool_search_tool_result",
    "web_fetch_tool_result",
    "web_search_tool_result",
}


def read_response(body: bytes, status_code: int) -> ResponseFacts:
    if status_code >= 400:
        return read_error_body(body)
    found = read_object(body, _decoder, ("content",))
    if found is None:
        return ResponseFacts(message=msgspec.Raw(body) if read_any(body) is not None else None)
    blocks = found.content or []
    kinds = [as_text(block.type) or "" for block in blocks]
    server_uses = [block for block, kind in zip(blocks, kinds, strict=True) if kind in _SERVER_TOOL_USES]
    return ResponseFacts(
        response_id=as_text(found.id),
        model=as_text(found.model),
        text=_text(blocks),
        thinking_text="\n".join([block.thinking for block in blocks if isinstance(block.thinking, str)]),
        message=msgspec.Raw(body),
        usage=usage_of(found.usage),
        billing=billing_of(found.usage, is_refused=found.stop_reason == "refusal"),
        tool_calls=[_tool_call(block) for block in blocks if block.type == "tool_use"],
        server_tool_calls=[_tool_call(block) for block in server_uses],
        content_blocks=kinds,
        finish_reason=as_text(found.stop_reason),
        has_refusal=found.stop_reason == "refusal",
        error=error_in({"error": found.error}),
        unknown_events=counted(kind for kind in kinds if kind not in _KNOWN_BLOCKS),
    )


def _text(blocks: list[AnswerBlock]) -> str:
    """Text blocks that follow each other are one text (citations split it); others start a new line."""
    pieces: list[str] = []
    is_adjacent = True
    for block in blocks:
        if block.type == "text" and isinstance(block.text, str):
            if pieces and not is_adjacent:
                pieces.append("\n")
            pieces.append(block.text)
        is_adjacent = block.type == "text"
    return "".join(pieces)


def _tool_call(block: AnswerBlock) -> ToolCall:
    # An input that was cut in a stream is kept as a JSON string of what had arrived.
    cut = read_text(block.input)
    arguments = cut if cut is not None else bytes(block.input).decode("utf-8", "replace")
    return ToolCall(
        tool_call_id=as_text(block.id),
        tool_name=as_text(block.name) or "",
        call_type=as_text(block.type),
        arguments=arguments,
        input_size_bytes=len(arguments.encode("utf-8", "replace")),
    )
