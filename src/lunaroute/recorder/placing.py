"""[pure] A request as it was read → whose it is, and what it adds to its thread's context."""

from __future__ import annotations

import msgspec

from lunaroute.capture.records import RequestOpened
from lunaroute.dialects.marks import marks_of
from lunaroute.events.understood import ReadRequest
from lunaroute.sessions import Clues, OpenExchange, Session, SessionBook, locate
from lunaroute.sessions.client import retry_count_of
from lunaroute.sessions.context import change_since, prompt_of

from .addition import Addition


def identified(request: ReadRequest, book: SessionBook) -> ReadRequest:
    """With its identity and the chain of its history."""
    opened, facts = request.exchange.opened, request.facts
    clues = Clues(
        request_id=opened.request_id,
        wall_ns=opened.wall_ns,
        session_tags=opened.session_tags,
        headers=request.headers,
        hints=facts.hints,
        messages=facts.messages,
        chain=marks_of(facts).chain,
        has_tools=facts.has_tools,
        has_output_schema=facts.has_output_schema,
    )
    identity, history = locate(clues, scope_of(opened), book)
    return msgspec.structs.replace(request, identity=identity, chain=history.end)


def scope_of(opened: RequestOpened) -> str:
    """Identities of different providers, credentials or tenants never meet."""
    scope = f"{opened.provider}\0{opened.credential or ''}"
    return scope if opened.tenant is None else f"{scope}\0{opened.tenant}"


def thread_id_of(request: ReadRequest, session: Session) -> str:
    return request.identity.thread_id or session.conversation_id


def addition_of(request: ReadRequest, session: Session, book: SessionBook) -> Addition | None:
    """None where no messages are read."""
    facts = request.facts
    if not facts.messages:
        return None
    thread = book.threads.get(session.session_id, thread_id_of(request, session))
    prompt, size = prompt_of(facts), len(request.plain)
    sent = None if thread is None else thread.prompt
    answered_prompt = None if thread is None else thread.answered_prompt
    change = change_since(sent, prompt, facts, size)
    is_same = sent == answered_prompt
    return Addition(
        prompt,
        change,
        change if is_same else change_since(answered_prompt, prompt, facts, size),
        None if thread is None else thread.answered,
        sent is None,
    )


def open_exchange(request: ReadRequest, session: Session, addition: Addition | None) -> OpenExchange:
    """What is to be known of the request when its response comes."""
    identity = request.identity
    return OpenExchange(
        session.session_id,
        request.wire_format,
        request.facts.model,
        thread_id_of(request, session),
        identity.thread_kind,
        identity.parent_thread_id,
        request.chain,
        bool(request.facts.messages),
        request.headers.get("user-agent") or "",
        identity.is_named,
        None if addition is None else addition.prompt,
        None if addition is None else addition.answered_change,
        None if addition is None else addition.answered,
        addition is not None and addition.is_first,
        request.facts.is_prewarm,
        identity.is_declared,
        retry_count_of(request.headers),
    )
