"""The exchanges that a script of a WebSocket comes to."""

from __future__ import annotations

from lunaroute.assemble.exchange import Exchange
from lunaroute.capture.records import Outcome
from tests.sockets import SocketScript, assembled, ended


def outcome_of(exchange: Exchange) -> tuple[Outcome, str | None]:
    assert exchange.closed is not None
    return exchange.closed.outcome, exchange.closed.detail


def lines(payloads: list[bytes]) -> bytes:
    return b"".join(payload + b"\n" for payload in payloads)


def turns(script: SocketScript) -> list[Exchange]:
    found = ended(assembled(script.records))
    return [exchange for exchange in found if exchange.socket is not None and exchange.socket.is_turn]


def rests(script: SocketScript) -> list[Exchange]:
    found = ended(assembled(script.records))
    return [exchange for exchange in found if exchange.socket is not None and not exchange.socket.is_turn]
