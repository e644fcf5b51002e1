"""A WebSocket through the relay: its handshake, and what of it is in the spool."""

from __future__ import annotations

from lunaroute.capture.records import UpgradeChunk
from tests.support.relay import RelayProcess, ScriptedUpstream, Wire

LINES = (
    b"Host: relay\r\nConnection: keep-alive, Upgrade\r\nupgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-Odd:  spaced \r\nX-Odd: twice\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
)
SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nsec-websocket-extensions: permessage-deflate\r\n\r\n"
)


def handshake(upstream: ScriptedUpstream, path: bytes = b"v1/responses") -> bytes:
    return b"GET /%s/%s HTTP/1.1\r\n" % (upstream.name.encode(), path) + LINES


def ask(relay: RelayProcess, upstream: ScriptedUpstream, path: bytes = b"v1/responses") -> tuple[Wire, Wire]:
    """(client, provider's side) when the provider has the handshake."""
    client = relay.connect()
    client.send(handshake(upstream, path))
    peer = upstream.accept()
    peer.read_head()
    return client, peer


def upgraded(relay: RelayProcess, upstream: ScriptedUpstream) -> tuple[Wire, Wire]:
    client, peer = ask(relay, upstream)
    peer.send(SWITCHING)
    assert client.read_head() == SWITCHING
    return client, peer


def chunks(relay: RelayProcess, number: int) -> list[UpgradeChunk]:
    relay.spool.poll()
    return [one for one in relay.spool.records if isinstance(one, UpgradeChunk) and one.exchange == number]


def said(found: list[UpgradeChunk], from_client: bool) -> bytes:
    return b"".join(one.data for one in found if one.from_client is from_client)


def ends(found: list[UpgradeChunk]) -> list[bool]:
    """Who finished sending, in order; True is the client."""
    return [one.from_client for one in found if not one.data]


def upgrade_chunks(relay: RelayProcess) -> list[UpgradeChunk]:
    relay.spool.poll()
    return [one for one in relay.spool.records if isinstance(one, UpgradeChunk)]
