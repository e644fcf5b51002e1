"""A request → the events that announce it: `started` (the first of its session), `tool_call_recorded` for each
result it brings, `request_recorded`.

Everything is given: no event here depends on anything but the exchange, its facts and its session.
"""

from __future__ import annotations

from lunaroute.assemble.exchange import Exchange, SocketPart
from lunaroute.assemble.wall_time import wall_ns_at
from lunaroute.capture.records import RequestOpened
from lunaroute.sessions import HeaderTexts, PairedCall, Session, identify_client, verdict_of
from lunaroute.sessions.hints import client_hints
from lunaroute.sessions.prompts import Change
from lunaroute.stats.tokens import estimate_tokens

from .bodies import chunk_offsets, embed_body, embed_stream
from .embedded import EmbeddedBody
from .headers import api_version, request_fields
from .numbers import to_ms
from .timestamps import timestamp
from .types import (
    ClientInfo,
    Identity,
    Metadata,
    RequestRecorded,
    RequestStats,
    Started,
    ToolCallRecorded,
    WebSocketPart,
)
from .understood import ReadRequest

_EXCERPT_CHARS = 500


def request_wall_ns(exchange: Exchange) -> int:
    """When the request was known in full, or its head where it never was."""
    return wall_ns_at(exchange, exchange.request_ended_ns or exchange.opened.t_ns)


def started_event(request: ReadRequest, session: Session, seq: int, node: str | None = None) -> Started:
    opened = request.exchange.opened
    return Started(
        session_id=session.session_id,
        request_id=opened.request_id,
        timestamp=timestamp(opened.wall_ns),
        seq=seq,
        conversation_id=session.conversation_id,
        continues=session.continues,
        forked_from=session.forked_from,
        model_requested=request.facts.model,
        provider=opened.provider,
        listener=opened.listener,
        dialect=request.dialect,
        is_streaming=request.facts.is_streaming,
        metadata=_metadata(opened, request.headers),
        identity=Identity(rule=session.rule, evidence=session.evidence),
        tenant=opened.tenant,
        node=node,
    )


def _metadata(opened: RequestOpened, headers: HeaderTexts) -> Metadata:
    client = identify_client(headers)
    return Metadata(
        client_ip=opened.client_ip or None,
        user_agent=headers.get("user-agent"),
        client=ClientInfo(name=client.name, version=client.version),
        api_version=api_version(headers),
        request_headers=request_fields(headers),
        session_tags=opened.session_tags,
        credential=opened.credential,
    )


def request_event(
    request: ReadRequest, session: Session, seq: int, change: Change | None, *, is_new_thread: bool
) -> RequestRecorded:
    """`change` is that of the context since the thread's request before."""
    exchange, facts, identity = request.exchange, request.facts, request.identity
    opened = exchange.opened
    body = _embed(request)
    hints, client = client_hints(request.headers, facts), identify_client(request.headers)
    return RequestRecorded(
        session_id=session.session_id,
        request_id=opened.request_id,
        timestamp=timestamp(request_wall_ns(exchange)),
        seq=seq,
        dialect=request.dialect,
        provider=opened.provider,
        listener=opened.listener,
        method=opened.method,
        target=opened.target,
        model_requested=facts.model,
        is_streaming=facts.is_streaming,
        request_text=facts.request_text,
        tenant=opened.tenant,
        request_json=body.json,
        request_body=body.copy,
        body_sha256=body.sha256,
        is_body_complete=exchange.is_request_complete,
        estimated_tokens=estimate_tokens(len(request.plain)) if request.plain else None,
        request_headers=request_fields(request.headers),
        stats=_request_stats(request, change),
        thread_id=identity.thread_id or session.conversation_id,
        parent_thread_id=identity.parent_thread_id,
        thread_kind=identity.thread_kind,
        is_new_thread=is_new_thread,
        retry_of=identity.retry_of,
        identity=Identity(rule=identity.rule, evidence=identity.evidence),
        client=ClientInfo(name=client.name, version=client.version),
        agent=hints.agent,
        project=hints.project,
        previous_response_id=facts.hints.previous_response_id,
        is_prewarm=facts.is_prewarm,
        websocket=None if exchange.socket is None else _websocket(exchange, exchange.socket),
        redaction=request.redaction,
    )


def _embed(request: ReadRequest) -> EmbeddedBody:
    exchange = request.exchange
    part = exchange.socket
    if part is None or (part.is_turn and len(exchange.request_chunks) == 1):
        is_portable = request.facts.is_portable
        return embed_body(request.body, request.content_encoding, request.decoded, is_known_portable=is_portable)
    messages = list(zip(part.request_ns, exchange.request_chunks, strict=True))
    return embed_stream(request.body, None, None, chunk_offsets(messages, exchange.opened.t_ns))


def _websocket(exchange: Exchange, part: SocketPart) -> WebSocketPart:
    return WebSocketPart(
        connection_id=part.connection_id,
        index=part.index,
        is_turn=part.is_turn,
        stream_id=part.stream_id,
        message_count=len(exchange.request_chunks),
    )


def _request_stats(request: ReadRequest, change: Change | None) -> RequestStats:
    facts = request.facts
    return RequestStats(
        pre_processing_ms=to_ms(max(0, request.exchange.pre_processing_ns or 0)),
        request_size_bytes=len(request.body),
        message_count=facts.message_count,
        has_system_prompt=facts.has_system_prompt,
        has_tools=facts.has_tools,
        tool_count=facts.tool_count,
        new_bytes=None if change is None else change.new_bytes,
        resent_bytes=None if change is None else change.resent_bytes,
        new_message_count=None if change is None else change.new_message_count,
    )


def tool_call_event(pair: PairedCall, exchange: Exchange, session: Session, seq: int) -> ToolCallRecorded:
    """A call and its result, at the moment the result arrived."""
    call, result = pair.call, pair.result
    verdict = verdict_of(result)
    return ToolCallRecorded(
        session_id=session.session_id,
        request_id=exchange.request_id,
        timestamp=timestamp(exchange.opened.wall_ns),
        seq=seq,
        tool_name=call.tool_name,
        tool_call_id=pair.tool_call_id,
        call_request_id=call.call_request_id,
        model_name=call.model_name,
        arguments=call.arguments,
        execution_time_ms=to_ms(pair.execution_ns),
        is_shared_bound=call.parallel_count > 1,
        input_size_bytes=call.input_size_bytes,
        output_size_bytes=result.output_size_bytes,
        output_text=result.output_text,
        success=verdict.success,
        error=result.output_text[:_EXCERPT_CHARS] if verdict.success is False else None,
        exit_code=verdict.exit_code,
        success_evidence=verdict.evidence,
        success_confidence=verdict.confidence,
        parallel_count=call.parallel_count,
    )
