"""[pure] Exchange → what it says: bytes of a request or response in, facts, times, tokens and cost out.

The one place where content decoding, dialects, stats and pricing meet. It may raise on a body that breaks one of
them; the pipeline then records the exchange by `unread_request` / `unread_response`, which look at no body.
"""

from __future__ import annotations

from lunaroute.assemble.content import ContentDecoder, decode_content
from lunaroute.assemble.exchange import Exchange
from lunaroute.dialects import detect_format, framing_of, read_answer, read_request_body, read_response_body
from lunaroute.dialects.facts import Billing, RequestFacts, ResponseFacts
from lunaroute.events.figures import (
    Cost,
)
from lunaroute.events.numbers import exchange_cost, unpriced_cost
from lunaroute.events.request import ReadRequest
from lunaroute.events.response import ReadResponse
from lunaroute.pricing import CostParts, Pricer, PriceRequest
from lunaroute.sessions.headers import NO_HEADERS, HeaderTexts, header_texts
from lunaroute.sessions.identity import UNKNOWN
from lunaroute.sessions.state import OpenExchange
from lunaroute.stats import TokenCounts, count_tokens, measure, plausible_billing

from .economics import economics_of


def read_request(exchange: Exchange) -> ReadRequest:
    """The request as its dialect understands it; its identity is still open."""
    opened = exchange.opened
    headers = header_texts(opened.headers)
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


def unread_request(exchange: Exchange) -> ReadRequest:
    """The request as its head and bytes."""
    headers = header_texts(exchange.opened.headers)
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
    headers = NO_HEADERS if exchange.response is None else header_texts(exchange.response.headers)
    content_type = headers.get("content-type")
    content_encoding = _content_encoding(headers)
    plain = _decode_chunks(exchange.response_chunks, content_encoding)
    chunks = exchange.response_chunks if plain is None else plain
    facts = ResponseFacts(is_finished=False)
    status_code = 0 if exchange.response is None else exchange.response.status_code
    if exchange.response is not None:
        facts = read_response_body(request.wire_format, chunks, content_type, status_code)
    tokens, billing = count_tokens(facts.usage, facts.thinking_text), plausible_billing(facts.billing)
    price_request = _price_request(exchange, request, facts, tokens, billing)
    parts = pricer.price(price_request) or {}
    economics = economics_of(request, price_request, parts, pricer)
    return ReadResponse(
        exchange=exchange,
        headers=headers,
        facts=facts,
        is_streaming=framing_of(request.wire_format, chunks, content_type, status_code) != "whole",
        body=exchange.response_body,
        content_encoding=content_encoding,
        decoded=None if plain is None else b"".join([data for _, data in plain]),
        timing=measure(exchange, facts.milestones),
        tokens=tokens,
        billing=billing,
        cost_parts=parts,
        cost=_cost(parts, facts, tokens, pricer),
        context=economics.context,
        miss_picodollars=economics.miss_picodollars,
        answer=read_answer(request.wire_format, facts) if request.has_history else [],
    )


def unread_response(exchange: Exchange) -> ReadResponse:
    """The response as bytes and times."""
    headers = NO_HEADERS if exchange.response is None else header_texts(exchange.response.headers)
    return ReadResponse(
        exchange=exchange,
        headers=headers,
        facts=ResponseFacts(),
        is_streaming=framing_of("unknown", [], headers.get("content-type")) != "whole",
        body=exchange.response_body,
        content_encoding=_content_encoding(headers),
        decoded=None,
        timing=measure(exchange, ()),
        tokens=TokenCounts(),
        billing=Billing(),
        cost_parts={},
        cost=None,
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
