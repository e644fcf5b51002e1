"""What a tenant may send ends in the relay: answered in the provider's own shape, on record, never at a provider."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from lunaroute.assemble.exchange import Exchange
from lunaroute.config import TenantLimits, TenantsConfig
from tests.support.relay import RelayProcess, ScriptedUpstream, Wire, started, wait_until

LIMITS = {"*": TenantLimits(requests_per_minute=2, max_request_bytes=100), "free": TenantLimits()}
SURFACES = ("anthropic", "openai", "google")
PATHS = {
    "anthropic": b"/v1/messages",
    "openai": b"/v1/chat/completions",
    "google": b"/v1beta/models/gemini-2.5-pro:generateContent",
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    upstream = ScriptedUpstream("provider")
    yield upstream
    upstream.close()


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory, upstream: ScriptedUpstream) -> Iterator[RelayProcess]:
    """For all tests here: each has tenants of its own."""
    tenants = TenantsConfig(rules=("header:x-team", "tag:team-"), limits=LIMITS)
    home = tmp_path_factory.mktemp("limits")
    with started(home, dict.fromkeys(SURFACES, upstream.url), tenants=tenants) as relay:
        yield relay


def _post(surface: str, team: str, body: bytes, more: bytes = b"") -> bytes:
    length = b"Content-Length: %d\r\n" % len(body)
    head = b"POST %b HTTP/1.1\r\nHost: r\r\nX-Team: %b\r\n" % (PATHS[surface], team.encode())
    return head + (more or length) + b"\r\n" + body


def _answer(client: Wire) -> tuple[bytes, dict[str, str], object]:
    start, *lines = client.read_head()[:-4].decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return start.encode(), headers, json.loads(client.read(int(headers["content-length"])))


def _pass(client: Wire, upstream: ScriptedUpstream, request: bytes) -> None:
    """A request that reaches the provider, on a connection of its own."""
    client.send(request)
    peer = upstream.accept()
    peer.read_head()
    peer.read(len(request.partition(b"\r\n\r\n")[2]))
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
    peer.close()
    assert _answer(client)[2] == {}


def _recorded(relay: RelayProcess, team: str | None, count: int) -> list[Exchange]:
    def found() -> list[Exchange]:
        relay.spool.poll()
        return [exchange for exchange in relay.spool.ended if exchange.opened.tenant == team]

    wait_until(lambda: len(found()) >= count)
    return found()


SHAPES = {
    "anthropic": {"type": "error", "error": {"type": "rate_limit_error"}},
    "openai": {"error": {"type": "requests", "param": None, "code": "rate_limit_exceeded"}},
    "google": {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}},
}
LARGE = {
    "anthropic": {"type": "error", "error": {"type": "request_too_large"}},
    "openai": {"error": {"type": "invalid_request_error", "param": None, "code": None}},
    "google": {"error": {"code": 413, "status": "INVALID_ARGUMENT"}},
}


def _without_message(answer: object) -> object:
    assert isinstance(answer, dict)
    assert answer["error"].pop("message").startswith("lunaroute: ")
    return answer


@pytest.mark.parametrize("surface", SURFACES)
def test_requests_beyond_the_limit_get_the_providers_own_429_and_are_on_record(
    relay: RelayProcess, upstream: ScriptedUpstream, surface: str
) -> None:
    client, team = relay.connect(), f"many-{surface}"
    _pass(client, upstream, _post(surface, team, b"one"))
    _pass(client, upstream, _post(surface, team, b"two"))
    client.send(_post(surface, team, b"three"))
    start, headers, answer = _answer(client)
    assert start == b"HTTP/1.1 429 Too Many Requests"
    assert 1 <= int(headers["retry-after"]) <= 30
    assert _without_message(answer) == SHAPES[surface]
    # The connection goes on, and another tenant is not touched; had the third gone on, it would be accepted here.
    _pass(client, upstream, _post(surface, f"other-{surface}", b"other"))
    refused = _recorded(relay, team, 3)[2]
    assert refused.closed is not None
    assert (refused.closed.outcome, refused.closed.sent_ns) == ("completed", None)
    assert b"".join(refused.request_chunks) == b"three"
    assert refused.response is not None
    assert refused.response.status_code == 429


@pytest.mark.parametrize("surface", SURFACES)
def test_a_body_beyond_the_limit_gets_the_providers_own_413(
    relay: RelayProcess, upstream: ScriptedUpstream, surface: str
) -> None:
    client, team = relay.connect(), f"large-{surface}"
    client.send(_post(surface, team, b"x" * 101))
    start, headers, answer = _answer(client)
    assert start.startswith(b"HTTP/1.1 413 ")
    assert "retry-after" not in headers
    assert _without_message(answer) == LARGE[surface]
    (refused,) = _recorded(relay, team, 1)
    assert refused.response is not None
    assert refused.response.status_code == 413
    _pass(client, upstream, _post(surface, team, b"x" * 100))


def test_a_body_that_is_announced_too_large_is_not_waited_for(relay: RelayProcess) -> None:
    client = relay.connect()
    client.send(_post("anthropic", "announced", b"only the beginning", b"Content-Length: 5000\r\n"))
    start, headers, _ = _answer(client)
    assert start.startswith(b"HTTP/1.1 413 ")
    assert headers["connection"] == "close"


def test_a_chunked_body_is_refused_as_soon_as_it_is_too_large(relay: RelayProcess, upstream: ScriptedUpstream) -> None:
    chunked = b"Transfer-Encoding: chunked\r\n"
    client = relay.connect()
    client.send(_post("anthropic", "chunked", b"32\r\n" + b"x" * 50 + b"\r\n", chunked))
    peer = upstream.accept()
    peer.read_head()
    assert peer.read(56) == b"32\r\n" + b"x" * 50 + b"\r\n"
    client.send(b"33\r\n")
    assert _answer(client)[0].startswith(b"HTTP/1.1 413 ")
    assert b"x" not in peer.read_to_end()[0]  # a cut
    (refused,) = _recorded(relay, "chunked", 1)
    assert refused.response is not None
    assert refused.response.status_code == 413


def test_a_websocket_counts_by_its_handshake(relay: RelayProcess, upstream: ScriptedUpstream) -> None:
    client = relay.connect()
    for _ in range(2):
        _pass(client, upstream, _post("openai", "sockets", b"{}"))
    client.send(
        b"GET /v1/responses HTTP/1.1\r\nHost: r\r\nX-Team: sockets\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    start, headers, _ = _answer(client)
    assert start == b"HTTP/1.1 429 Too Many Requests"
    assert "upgrade" not in headers


def test_who_has_no_limits_and_who_is_nobody_pass(relay: RelayProcess, upstream: ScriptedUpstream) -> None:
    client = relay.connect()
    _pass(client, upstream, _post("anthropic", "free", b"x" * 200))
    for _ in range(3):
        _pass(client, upstream, _post("anthropic", "no name of a tenant", b"x" * 200))
    assert len(_recorded(relay, None, 3)) == 3


def test_a_tenant_by_the_path_is_no_session_tag(relay: RelayProcess, upstream: ScriptedUpstream) -> None:
    request = _post("anthropic", "!", b"{}").replace(b"POST /", b"POST /s/team-lab/s/run-1/", 1)
    _pass(relay.connect(), upstream, request)
    (exchange,) = _recorded(relay, "lab", 1)
    assert (exchange.opened.path, exchange.opened.session_tags) == ("/v1/messages", ["run-1"])


def test_ready_is_told_by_the_relay_itself(relay: RelayProcess) -> None:
    client = relay.connect()
    for path, status in ((b"ready", b"200"), (b"health", b"200"), (b"v1/messages", b"404")):
        client.send(b"GET /lunaroute/%b HTTP/1.1\r\nHost: r\r\n\r\n" % path)
        assert _answer(client)[0].startswith(b"HTTP/1.1 " + status)
