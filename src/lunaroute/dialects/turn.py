"""What of a re-sent history is new: the messages of a request in, its newest turn out.

Everything is read from the end, so that a long history costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from lunaroute.dialects.facts import MessageFacts, ToolResult
from lunaroute.dialects.loose import objects_in
from lunaroute.dialects.user_text import user_text


def read_each(messages: msgspec.Raw, read_message: Callable[[msgspec.Raw], MessageFacts]) -> list[MessageFacts]:
    """The objects in the list that `messages` holds, each read on its own; empty where it is no list."""
    return [read_message(raw) for raw in objects_in(messages)]


def new_turn(messages: Sequence[MessageFacts]) -> slice:
    """Which messages are new in this turn: those after the last answer, which a prefill is not."""
    end = len(messages)
    while end and messages[end - 1].role == "assistant":
        end -= 1  # a prefill: the beginning of the answer, put into the client's mouth
    start = end
    while start and messages[start - 1].role != "assistant":
        start -= 1
    return slice(start, end)


def request_text(messages: Sequence[MessageFacts]) -> str:
    """What the user said in the newest turn."""
    texts: list[str] = []
    for message in messages[new_turn(messages)]:
        if message.role == "user":
            texts += message.texts
    return user_text(texts)


def new_results(messages: Sequence[MessageFacts]) -> list[ToolResult]:
    """The tool results of the newest turn."""
    return [result for message in messages[new_turn(messages)] for result in message.tool_results]


def opening_texts(messages: Sequence[MessageFacts]) -> list[str]:
    """What the user said first: all of that message, and each of its blocks by itself."""
    for message in messages:
        own = [user_text([text]) for text in message.texts] if message.role == "user" else []
        own = [text for text in own if text]
        if own:
            return list(dict.fromkeys(["\n".join(own), *own]))
    return []
