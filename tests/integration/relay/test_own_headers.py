"""`server.add_headers`: the only thing that the relay ever adds to a response, and only when asked to."""

from __future__ import annotations

import uuid
from pathlib import Path

import msgspec
import pytest

from lunaroute.config import ServerConfig
from tests.support.relay import RelayProcess, ScriptedUpstream, started

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Other: 1\r\n\r\n"


def answered(relay: RelayProcess, upstream: ScriptedUpstream, extra: bytes = b"") -> bytes:
    client = relay.connect()
    client.send(b"POST /%s/x HTTP/1.1\r\nHost: r\r\n%sContent-Length: 2\r\n\r\nhi" % (upstream.name.encode(), extra))
    peer = upstream.accept()
    peer.read_head()
    peer.send(ANSWER + b"ok")
    head = client.read_head()
    assert client.read(2) == b"ok"
    return head


def test_a_response_stays_as_it_came(relay: RelayProcess, upstream: ScriptedUpstream) -> None:
    assert answered(relay, upstream) == ANSWER


@pytest.mark.parametrize("is_last", [False, True])
def test_on_request_it_says_what_it_is_recorded_as_and_what_the_relay_took(tmp_path: Path, is_last: bool) -> None:
    upstream = ScriptedUpstream("up")
    with started(tmp_path, {"up": upstream.url}, server=ServerConfig(add_headers=True)) as relay:
        head = answered(relay, upstream, b"Connection: close\r\n" if is_last else b"")
        original, _, added = head.partition(b"x-lunaroute-request-id: ")
        assert original == ANSWER[:-2]
        request_id, overhead, *rest = added.split(b"\r\n")
        exchange = relay.spool.exchange("up")
        assert exchange.opened.request_id == str(uuid.UUID(request_id.decode()))
        name, milliseconds = overhead.split(b": ")
        assert name == b"x-lunaroute-overhead-ms"
        assert exchange.closed is not None
        assert 0 < float(milliseconds) <= exchange.closed.pre_processing_ns / 1e6 + 0.001
        assert rest == ([b"Connection: close"] if is_last else []) + [b"", b""]
        assert exchange.response is not None
        assert b"lunaroute" not in msgspec.json.encode(exchange.response)
    upstream.close()
