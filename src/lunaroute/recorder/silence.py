"""Exchanges in which nothing has moved for a while, at this moment."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from lunaroute.assemble.exchange import Exchange

_FROM_S = 5.0
_MOST = 50


class SilentExchange(msgspec.Struct, frozen=True, kw_only=True):
    request_id: str
    provider: str
    silence_s: float
    """Since anything of it was last read, in either direction."""


def silent_exchanges(open_exchanges: Iterable[Exchange], now_ns: int) -> list[SilentExchange]:
    """Those of more than five seconds, the longest first; `now_ns` of the clock that relays write into records."""
    found = [
        SilentExchange(request_id=one.request_id, provider=one.opened.provider, silence_s=silence_s)
        for one in open_exchanges
        if (silence_s := (now_ns - _last_ns(one)) / 1e9) >= _FROM_S
    ]
    return sorted(found, key=lambda one: one.silence_s, reverse=True)[:_MOST]


def _last_ns(exchange: Exchange) -> int:
    if exchange.response_chunks:
        return exchange.response_chunks[-1][0]
    if exchange.response is not None:
        return exchange.response.t_ns
    return exchange.request_ended_ns or exchange.opened.t_ns
