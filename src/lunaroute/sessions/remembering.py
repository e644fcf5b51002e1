"""What later requests need to know of an exchange: the thread that it moved on, and what they may repeat of it.

In: a request as it was placed, then its response. Out: state of the book. Partial answers count: clients repeat the
tool calls of streams that were cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from lunaroute.dialects.facts import ToolCall

from .client import client_of, gives_up_when_broken_off
from .ended import EndedExchange
from .history import extended
from .lifecycle import SessionBook
from .places import Place, SentRequest
from .served import sender_of
from .state import OpenExchange, Session

_MAX_ARGUMENT_CHARS = 50_000
_MIN_ARGUMENT_CHARS = 12
_MOST_ARGUMENTS = 32
"""Of one call."""

_HOLDING_FORMATS = ("openai_responses", "anthropic_messages")
"""Where a request can name an earlier response."""

_any_decoder = msgspec.json.Decoder()


def remember_request(book: SessionBook, session: Session, request_id: str, opened: OpenExchange) -> None:
    """The request is its thread's newest."""
    thread = book.threads.place(session.session_id, opened.thread_id, opened.thread_kind, opened.parent_thread_id)
    if opened.has_history:
        thread.asked(request_id, opened.chain, opened.prompt)
        book.threads.changed(session.session_id, thread)
    if opened.parent_thread_id is not None and opened.thread_kind == "subagent":
        place = _place(session, opened)
        book.served.link(session.scope, "thread", opened.thread_id, place, session.last_activity_wall_ns)


def remember_response(book: SessionBook, session: Session, opened: OpenExchange, ended: EndedExchange) -> None:
    """The thread has its answer, and what the provider served leads to it from now on."""
    head = extended(opened.chain, ended.answer) if ended.is_answered else opened.chain
    _move_on(book, session, opened, ended, head)
    place, facts, wall_ns = _place(session, opened), ended.facts, ended.ended_wall_ns
    served, scope = book.served, session.scope
    for call in facts.tool_calls:
        if call.tool_call_id:
            served.link(scope, "tool", call.tool_call_id, place, wall_ns)
            session.is_linked = True
        for text in _string_arguments(call):
            served.remember_argument(scope, text, place, wall_ns)
    if facts.response_id and opened.has_history and opened.wire_format in _HOLDING_FORMATS:
        with_head = msgspec.structs.replace(place, chain=head)
        served.link(scope, "response", facts.response_id, with_head, wall_ns)
        session.is_linked = True
    if head != opened.chain:
        served.answered(scope, head, place, wall_ns)
        session.is_linked = True
    if opened.chain and not opened.is_named:
        sent = SentRequest(place, ended.request_id, _is_repeatable(opened, ended), wall_ns, opened.retry_count)
        sender = sender_of(opened.user_agent, session.conversation_id if opened.is_declared else None)
        served.remember_sent(scope, sender, opened.chain, sent)


def _move_on(book: SessionBook, session: Session, opened: OpenExchange, ended: EndedExchange, head: bytes) -> None:
    thread = book.threads.get(session.session_id, opened.thread_id)
    if thread is not None and opened.has_history:
        thread.ended(ended.request_id, ended.outcome, ended.is_answered, head)
        if ended.answered is not None:
            thread.was_told(opened.prompt, ended.answered)
        book.threads.changed(session.session_id, thread)


def _is_repeatable(opened: OpenExchange, ended: EndedExchange) -> bool:
    if ended.is_answered or ended.is_final:
        return False
    return not (ended.is_broken_off and gives_up_when_broken_off(client_of(opened.user_agent).name))


def _place(session: Session, opened: OpenExchange) -> Place:
    return Place(session.conversation_id, opened.thread_id, opened.thread_kind, opened.parent_thread_id)


def _string_arguments(call: ToolCall) -> list[str]:
    """The texts among a call's arguments: one of them may be the task of a sub-agent."""
    if len(call.arguments) < _MIN_ARGUMENT_CHARS:
        return []
    try:
        value = _any_decoder.decode(call.arguments)
    except (ValueError, RecursionError):
        return []
    texts: list[str] = []
    for text in _texts(value, 3):
        if _MIN_ARGUMENT_CHARS <= len(text) <= _MAX_ARGUMENT_CHARS:
            texts.append(text)
            if len(texts) == _MOST_ARGUMENTS:
                break
    return texts


def _texts(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif depth and isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part, depth - 1)
