"""[pure] Exchange → what it says: bytes of a request or response in, facts, times, tokens and cost out.

The one place where content decoding, dialects, stats and pricing meet. It may raise on a body that breaks one of
them; the pipeline then records the exchange by `unread_request` / `unread_response`, which look at no body.
"""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.assemble.content import ContentDecoder, decode_content
from lunaroute.assemble.exchange import Exchange
from lunaroute.dialects import detect_dialect, is_event_stream, read_response_body, reader_for
from lunaroute.dialects.facts import RequestFacts, ResponseFacts
from lunaroute.events.numbers import exchange_cost, unpriced_cost
from lunaroute.events.request import ReadRequest
from lunaroute.events.response import ReadResponse, is_other_stream
from lunaroute.events.types import Cost
from lunaroute.pricing import CostParts, Pricer, PriceRequest
from lunaroute.sessions.headers import NO_HEADERS, HeaderTexts, header_texts
from lunaroute.sessions.state import OpenExchange
from lunaroute.stats import TokenCounts, count_tokens, measure


class _Tier(msgspec.Struct):
    service_tier: str | None = None


_tier_decoder = msgspec.json.Decoder(_Tier)


def read_request(exchange: Exchange) -> ReadRequest:
    """The request as its dialect understands it; its identity is still open."""
    opened = exchange.opened
    headers = header_texts(opened.headers)
    dialect = detect_dialect(opened.method, opened.path)
    body = exchange.request_body
    content_encoding = _content_encoding(headers)
    decoded = _decode(body, content_encoding)
    facts = reader_for(dialect).read_request(body if decoded is None else decoded)
    return ReadRequest(
        exchange=exchange,
        headers=headers,
        dialect=dialect,
        facts=facts,
        body=body,
        content_encoding=content_encoding,
        decoded=decoded,
        identity=None,
    )


def unread_request(exchange: Exchange) -> ReadRequest:
    """The request as its head and bytes."""
    headers = header_texts(exchange.opened.headers)
    return ReadRequest(
        exchange=exchange,
        headers=headers,
        dialect="unknown",
        facts=RequestFacts(is_valid=False),
        body=exchange.request_body,
        content_encoding=_content_encoding(headers),
        decoded=None,
        identity=None,
    )


def read_response(exchange: Exchange, request: OpenExchange, pricer: Pricer) -> ReadResponse:
    """The response as its dialect understands it, with its numbers. The exchange has ended."""
    headers = NO_HEADERS if exchange.response is None else header_texts(exchange.response.headers)
    content_type = headers.get("content-type")
    content_encoding = _content_encoding(headers)
    plain = _decode_chunks(exchange.response_chunks, content_encoding)
    chunks = exchange.response_chunks if plain is None else plain
    facts = ResponseFacts(is_finished=False)
    if exchange.response is not None:
        facts = read_response_body(request.dialect, chunks, content_type, exchange.response.status_code)
    tokens = count_tokens(facts.usage, facts.thinking_text)
    parts = _price(exchange, request, facts, tokens, pricer)
    return ReadResponse(
        exchange=exchange,
        headers=headers,
        facts=facts,
        is_streaming=is_event_stream(chunks, content_type) or is_other_stream(content_type),
        body=exchange.response_body,
        content_encoding=content_encoding,
        decoded=None if plain is None else b"".join([data for _, data in plain]),
        timing=measure(exchange, facts.milestones),
        tokens=tokens,
        cost_parts=parts,
        cost=_cost(parts, facts, tokens, pricer),
    )


def unread_response(exchange: Exchange) -> ReadResponse:
    """The response as bytes and times."""
    headers = NO_HEADERS if exchange.response is None else header_texts(exchange.response.headers)
    return ReadResponse(
        exchange=exchange,
        headers=headers,
        facts=ResponseFacts(),
        is_streaming=_looks_streamed(headers.get("content-type")),
        body=exchange.response_body,
        content_encoding=_content_encoding(headers),
        decoded=None,
        timing=measure(exchange, ()),
        tokens=TokenCounts(),
        cost_parts={},
        cost=None,
    )


def _looks_streamed(content_type: str | None) -> bool:
    return is_event_stream([], content_type) or is_other_stream(content_type)


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


def _price(
    exchange: Exchange, request: OpenExchange, facts: ResponseFacts, tokens: TokenCounts, pricer: Pricer
) -> dict[str, CostParts]:
    """The cost by model; empty where there is nothing to price, or no price for it."""
    if tokens.total_tokens is None:
        return {}
    price_request = PriceRequest(
        provider=exchange.opened.provider,
        model_used=facts.model,
        model_requested=request.model_requested,
        tokens=tokens,
        side_usages=() if facts.usage is None else facts.usage.side_usages,
        usage_raw=None if facts.usage is None else facts.usage.raw,
        service_tier=_service_tier(facts.message),
        wall_ns=exchange.opened.wall_ns,
    )
    return pricer.price(price_request) or {}


def _cost(parts: dict[str, CostParts], facts: ResponseFacts, tokens: TokenCounts, pricer: Pricer) -> Cost | None:
    """None: nothing was generated, as far as anyone said, so there is nothing whose price we would not know."""
    if parts:
        return exchange_cost(parts, tokens.total_tokens or 0, pricer.version)
    has_output = bool(facts.text or facts.thinking_text or facts.tool_calls)
    return unpriced_cost() if tokens.total_tokens is not None or has_output else None


def _service_tier(message: msgspec.Raw | dict[str, Any] | None) -> str | None:
    """OpenAI says beside the usage object, not in it, which tier served the request."""
    if isinstance(message, dict):
        tier = message.get("service_tier")
        return tier if isinstance(tier, str) else None
    if message is None or b'"service_tier"' not in bytes(message):
        return None
    try:
        return _tier_decoder.decode(message).service_tier
    except (ValueError, RecursionError):
        return None
