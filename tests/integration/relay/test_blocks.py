"""What a rule blocks never reaches the provider; its client is told why, in the shape it knows, and it is on record."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lunaroute.assemble.exchange import Exchange
from lunaroute.relay.blocks import BLOCKS_FILE, Block
from tests.integration.relay.upgrades import upgraded
from tests.support.relay import RelayProcess, ScriptedUpstream, Wire, started, wait_until

BODY = b'{"model":"m","messages":[]}'
WHY = "spend per day is $21, more than the $20 of the rule 'daily'"


def put(home: Path, *blocks: Block) -> None:
    (home / "run").mkdir(exist_ok=True)
    aside = home / "run" / "blocks.new"
    aside.write_bytes(msgspec.json.encode(list(blocks)))
    os.replace(aside, home / "run" / BLOCKS_FILE)


def block(until_s: float | None = None, **scope: Any) -> Block:
    return Block(message=WHY, until_s=time.time() + 3600 if until_s is None else until_s, **scope)


@pytest.fixture(scope="module")
def upstreams() -> Iterator[dict[str, ScriptedUpstream]]:
    named = {name: ScriptedUpstream(name) for name in ("anthropic", "openai", "groq")}
    yield named
    for one in named.values():
        one.close()


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory, upstreams: dict[str, ScriptedUpstream]) -> Iterator[RelayProcess]:
    """One to which nothing passes to anthropic, nor of some sessions; a block of all has ended."""
    home = tmp_path_factory.mktemp("blocks")
    put(
        home,
        block(providers=["anthropic"]),
        block(until_s=time.time() - 1),
        block(header=("x-claude-code-session-id", "s1")),
        block(tag="night"),
    )
    with started(home, {name: one.url for name, one in upstreams.items()}) as process:
        yield process


def ask(relay: RelayProcess, path: bytes, body: bytes = BODY, headers: bytes = b"") -> Wire:
    client = relay.connect()
    client.send(b"POST %s HTTP/1.1\r\nHost: r\r\n%sContent-Length: %d\r\n\r\n" % (path, headers, len(body)) + body)
    return client


def refused(client: Wire) -> dict[str, Any]:
    head = client.read_head()
    assert head.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
    assert b"\r\nx-should-retry: false\r\n" in head
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    said: dict[str, Any] = json.loads(client.read(length))
    return said


def passes(client: Wire, upstream: ScriptedUpstream) -> None:
    peer = upstream.accept()
    peer.read_head()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert client.read_head().startswith(b"HTTP/1.1 200")
    peer.close()


def test_a_blocked_request_is_answered_and_goes_nowhere(
    relay: RelayProcess, upstreams: dict[str, ScriptedUpstream]
) -> None:
    client = ask(relay, b"/v1/messages")
    assert refused(client) == {"type": "error", "error": {"type": "rate_limit_error", "message": f"lunaroute: {WHY}"}}
    # The connection goes on, and other providers with it.
    client.send(b"POST /v1/messages HTTP/1.1\r\nHost: r\r\nContent-Length: 0\r\n\r\n")
    refused(client)
    passes(ask(relay, b"/v1/chat/completions"), upstreams["openai"])
    assert upstreams["anthropic"].was_never_called()


def test_a_blocked_request_is_recorded_with_the_whole_of_its_body(relay: RelayProcess) -> None:
    body = json.dumps({"model": "m", "pad": "x" * 900_000}).encode()
    refused(ask(relay, b"/v1/messages/count_tokens", body))

    def found() -> list[Exchange]:
        relay.spool.poll()
        return [one for one in relay.spool.ended if one.opened.path.endswith("count_tokens")]

    wait_until(found)
    (exchange,) = found()
    assert exchange.closed is not None
    assert (exchange.closed.outcome, exchange.closed.detail, exchange.closed.sent_ns) == ("blocked", WHY, None)
    assert exchange.request_body == body
    assert exchange.response is not None
    assert (exchange.response.status_code, WHY.encode() in exchange.response_body) == (429, True)


def test_a_body_that_does_not_come_is_not_waited_for(relay: RelayProcess) -> None:
    client = relay.connect()
    client.send(b"POST /v1/messages HTTP/1.1\r\nHost: r\r\nExpect: 100-continue\r\nContent-Length: 50\r\n\r\n")
    refused(client)


def test_only_the_session_that_a_block_names_is_stopped(
    relay: RelayProcess, upstreams: dict[str, ScriptedUpstream]
) -> None:
    refused(ask(relay, b"/groq/v1/x", headers=b"X-Claude-Code-Session-Id: s1\r\n"))
    refused(ask(relay, b"/s/night/groq/v1/x"))
    refused(ask(relay, b"/groq/v1/x", headers=b"X-Session-Tag: night\r\n"))
    passes(ask(relay, b"/groq/v1/x", headers=b"X-Claude-Code-Session-Id: s2\r\n"), upstreams["groq"])
    passes(ask(relay, b"/s/day/groq/v1/x"), upstreams["groq"])


def test_a_block_that_begins_ends_an_open_websocket_with_its_next_message(tmp_path: Path) -> None:
    upstream = ScriptedUpstream("openai")
    with started(tmp_path, {"openai": upstream.url}) as relay:
        client, peer = upgraded(relay, upstream)
        client.send(b"\x81\xfe" + b"a" * 200)
        assert peer.read(202)
        put(tmp_path, block(providers=["openai"]))
        wait_until(lambda: _blocks(relay), 20)
        peer.send(b"the answer still comes")
        assert client.read(22) == b"the answer still comes"
        client.send(b"\x8a\x80aaaa")  # a pong
        assert peer.read(6)
        client.send(b"\x81\xfe" + b"b" * 200)
        client.read_to_end()
        assert peer.read_to_end()[0] == b""
        wait_until(lambda: "blocked" in _outcomes_of_sockets(relay))
        put(tmp_path)
        wait_until(lambda: not _blocks(relay), 20)
    upstream.close()


def _outcomes_of_sockets(relay: RelayProcess) -> list[str]:
    relay.spool.poll()
    return [one.closed.outcome for one in relay.spool.ended if one.closed is not None and one.socket is not None]


def _blocks(relay: RelayProcess) -> bool:
    """Whether a request is refused by now; one that is not fails at a provider that nobody plays."""
    client = relay.connect()
    client.send(b"GET /openai/v1/responses HTTP/1.1\r\nHost: r\r\n\r\n")
    client.sock.settimeout(0.2)
    try:
        return client.read_head().startswith(b"HTTP/1.1 429")
    except TimeoutError:
        return False
    finally:
        client.close()
