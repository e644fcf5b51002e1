"""[pure] Exchange → what it says: bytes of a request or response in, facts, times, tokens and cost out.

The one place where content decoding, dialects, stats and pricing meet. It may raise on a body that breaks one of
them; the pipeline then records the exchange by `unread_request` / `unread_response`, which look at no body.
"""

from __future__ import annotations

import msgspec

from lunaroute.assemble.content import ContentDecoder, decode_content
from lunaroute.assemble.exchange import Exchange, SocketPart
from lunaroute.dialects import (
    detect_format,
    framing_of,
    read_answer,
    read_framed_body,
    read_messages,
    read_request_body,
)
from lunaroute.dialects.facts import Billing, IdentityHints, RequestFacts, ResponseFacts
from lunaroute.events.figures import Cost
from lunaroute.events.numbers import exchange_cost, unpriced_cost
from lunaroute.events.understood import ReadRequest, ReadResponse
from lunaroute.pricing import CostParts, Pricer, PriceRequest
from lunaroute.sessions.clues import UNKNOWN
from lunaroute.sessions.headers import NO_HEADERS, HeaderTexts, header_texts
from lunaroute.sessions.state import OpenExchange
from lunaroute.stats import TokenCounts, count_tokens, measure, plausible_billing, without_latency

from .economics import economics_of


def read_request(exchange: Exchange) -> ReadRequest:
    """The request as its dialect understands it; its identity is still open."""
    if exchange.socket is not None:
        return _read_socket_request(exchange, exchange.socket)
    opened = exchange.opened
    headers = header_texts(opened.header_lines)
    wire_format = detect_format(opened.method, opened.path)
    body = exchange.request_body
    content_encoding = _content_encoding(headers)
    decoded = _decode(body, content_encoding)
    facts = read_request_body(wire_format, opened.path, body if decoded is None else decoded)
    return ReadRequest(
        exchange=exchange,
        headers=headers,
        wire_format=wire_format,
        facts=facts,
        body=body,
        content_encoding=content_encoding,
        decoded=decoded,
        identity=UNKNOWN,
    )


def _read_socket_request(exchange: Exchange, part: SocketPart) -> ReadRequest:
    """A turn, by its newest message; or messages that belong to none, which stay with the response before them."""
    if part.is_turn:
        body = exchange.request_chunks[-1] if exchange.request_chunks else b""
        read = read_request_body("openai_responses", exchange.opened.path, body)
        facts = msgspec.structs.replace(read, is_streaming=True)
    else:
        facts = RequestFacts(is_streaming=True, hints=IdentityHints(previous_response_id=part.after_response_id))
    return msgspec.structs.replace(
        unread_request(exchange), wire_format="openai_responses" if part.is_turn else "unknown", facts=facts
    )


def unread_request(exchange: Exchange) -> ReadRequest:
    """The request as its head and bytes."""
    headers = header_texts(exchange.opened.header_lines)
    return ReadRequest(
        exchange=exchange,
        headers=headers,
        wire_format="unknown",
        facts=RequestFacts(is_valid=False),
        body=exchange.request_body,
        content_encoding=_content_encoding(headers),
        decoded=None,
        identity=UNKNOWN,
    )


def read_response(exchange: Exchange, request: OpenExchange, pricer: Pricer) -> ReadResponse:
    """The response as its dialect understands it, with its numbers. The exchange has ended."""
    if exchange.socket is not None:
        return _read_socket_response(exchange, request, pricer)
    headers = NO_HEADERS if exchange.response is None else header_texts(exchange.response.header_lines)
    content_type = headers.get("content-type")
    content_encoding = _content_encoding(headers)
    plain = _decode_chunks(exchange.response_chunks, content_encoding)
    chunks = exchange.response_chunks if plain is None else plain
    facts = ResponseFacts(is_finished=False)
    status_code = 0 if exchange.response is None else exchange.response.status_code
    framing = framing_of(request.wire_format, chunks, content_type, status_code)
    if exchange.response is not None:
        facts = read_framed_body(request.wire_format, framing, chunks, status_code)
    response = ReadResponse(
        exchange=exchange,
        headers=headers,
        facts=facts,
        is_streaming=framing != "whole",
        body=exchange.response_body,
        content_encoding=content_encoding,
        decoded=None if plain is None else b"".join([data for _, data in plain]),
        timing=measure(exchange, facts.milestones),
    )
    return _priced(response, request, pricer)


def _read_socket_response(exchange: Exchange, request: OpenExchange, pricer: Pricer) -> ReadResponse:
    facts = ResponseFacts()
    if exchange.socket is not None and exchange.socket.is_turn:
        facts = read_messages(request.wire_format, exchange.response_chunks)
    timing = measure(exchange, facts.milestones)
    response = msgspec.structs.replace(
        unread_response(exchange), facts=facts, timing=without_latency(timing) if request.is_prewarm else timing
    )
    return _priced(response, request, pricer)


def _priced(response: ReadResponse, request: OpenExchange, pricer: Pricer) -> ReadResponse:
    facts = response.facts
    tokens, billing = count_tokens(facts.usage, facts.thinking_text), plausible_billing(facts.billing)
    price_request = _price_request(response.exchange, request, facts, tokens, billing)
    parts = pricer.price(price_request) or {}
    context, miss_picodollars = economics_of(request, price_request, parts, pricer)
    return msgspec.structs.replace(
        response,
        tokens=tokens,
        billing=billing,
        cost_parts=parts,
        cost=_cost(parts, facts, tokens, pricer),
        context=context,
        miss_picodollars=miss_picodollars,
        answer=read_answer(request.wire_format, facts) if request.has_history else [],
    )


def unread_response(exchange: Exchange) -> ReadResponse:
    """The response as bytes and times."""
    headers = NO_HEADERS if exchange.response is None else header_texts(exchange.response.header_lines)
    is_streaming = exchange.socket is not None or framing_of("unknown", [], headers.get("content-type")) != "whole"
    return ReadResponse(
        exchange=exchange,
        headers=headers,
        facts=ResponseFacts(),
        is_streaming=is_streaming,
        body=exchange.response_body,
        content_encoding=_content_encoding(headers),
        decoded=None,
        timing=measure(exchange, ()),
    )


def _content_encoding(headers: HeaderTexts) -> str | None:
    value = headers.get("content-encoding")
    return None if value is None or value.strip().lower() == "identity" else value


def _decode(body: bytes, content_encoding: str | None) -> bytes | None:
    """The body without its coding; None where it has none, or is not what the header says."""
    if content_encoding is None:
        return None
    decoded = decode_content(body, content_encoding)
    return None if decoded.error is not None and not decoded.data else decoded.data


def _decode_chunks(chunks: list[tuple[int, bytes]], content_encoding: str | None) -> list[tuple[int, bytes]] | None:
    """The same for a body with arrival times: what a read makes known counts as arrived with it."""
    if content_encoding is None or not chunks:
        return None
    decoder = ContentDecoder(content_encoding)
    decoded = [(t_ns, decoder.feed(data)) for t_ns, data in chunks]
    decoded.append((chunks[-1][0], decoder.finish()))
    decoded = [(t_ns, data) for t_ns, data in decoded if data]
    return None if decoder.error is not None and not decoded else decoded


def _price_request(
    exchange: Exchange, request: OpenExchange, facts: ResponseFacts, tokens: TokenCounts, billing: Billing
) -> PriceRequest:
    return PriceRequest(
        provider=exchange.opened.provider,
        model_used=facts.model,
        model_requested=request.model_requested,
        tokens=tokens,
        billing=billing,
        wall_ns=exchange.opened.wall_ns,
    )


def _cost(parts: dict[str, CostParts], facts: ResponseFacts, tokens: TokenCounts, pricer: Pricer) -> Cost | None:
    """None: nothing was generated, as far as anyone said, so there is nothing whose price we would not know."""
    if parts:
        return exchange_cost(parts, tokens.total_tokens or 0, pricer.version)
    has_output = bool(facts.text or facts.thinking_text or facts.tool_calls or facts.content_blocks)
    return unpriced_cost() if tokens.total_tokens is not None or has_output else None
