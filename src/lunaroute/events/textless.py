"""An event as an index may have it that is to hold nothing of what was said.

In: an event. Out: the same without bodies, texts, arguments and results of tools, and words of errors. Who asked whom
and when, names, sizes, hashes, tokens, times and costs stay.
"""

from __future__ import annotations

import msgspec

from .figures import Context
from .types import (
    NO_JSON,
    Completed,
    Event,
    RequestRecorded,
    ResponseRecorded,
    ResponseStats,
    ToolCallRecorded,
    ToolCallSummary,
)


def without_texts(event: Event) -> Event:
    replace = msgspec.structs.replace
    match event:
        case RequestRecorded():
            return replace(event, request_text="", request_json=NO_JSON, request_body=None)
        case ResponseRecorded():
            return replace(
                event,
                response_text="",
                thinking_text="",
                response_json=NO_JSON,
                response_body=None,
                error=None if event.error is None else replace(event.error, message=None),
                stats=_without_texts(event.stats),
            )
        case ToolCallRecorded():
            return replace(event, arguments="", output_text="", error=None)
        case Completed():
            return replace(event, error=None)
        case _:
            return event


def _without_texts(stats: ResponseStats) -> ResponseStats:
    return msgspec.structs.replace(
        stats,
        tool_calls=_silent(stats.tool_calls),
        server_tool_calls=_silent(stats.server_tool_calls),
        stream_events=[msgspec.structs.replace(one, content=None) for one in stats.stream_events],
        context=_without_excerpt(stats.context),
    )


def _silent(calls: list[ToolCallSummary]) -> list[ToolCallSummary]:
    return [msgspec.structs.replace(call, arguments="") for call in calls]


def _without_excerpt(context: Context | None) -> Context | None:
    if context is None or context.cache_miss is None:
        return context
    return msgspec.structs.replace(context, cache_miss=msgspec.structs.replace(context.cache_miss, block_excerpt=None))
