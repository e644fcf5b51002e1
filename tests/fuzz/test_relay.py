"""What comes from the network into the relay: one exception says that it is refused, nothing else is raised."""

from __future__ import annotations

import re
from contextlib import suppress

from hypothesis import example, given
from hypothesis import strategies as st

from lunaroute.capture.records import Opening
from lunaroute.config import TenantLimits, TenantsConfig
from lunaroute.relay.chunked import BadChunking, ChunkedReader
from lunaroute.relay.credentials import Fingerprinter
from lunaroute.relay.headers import LineReader, NameKinds, hidden_subprotocols
from lunaroute.relay.heads import BadHead, read_response_head
from lunaroute.relay.limits import LimitBook
from lunaroute.relay.plans import Planner
from lunaroute.relay.routes import Router
from lunaroute.relay.tenants import TenantRules

from .mutations import FUZZ, PLACES, mutated, splits

FINGERPRINT = Fingerprinter(b"s" * 32)
LINES = LineReader(FINGERPRINT, FINGERPRINT.clean_url)
UPSTREAMS = {
    "anthropic": "https://api.anthropic.com",
    "openai": "https://api.openai.com",
    "ollama": "http://127.0.0.1:1/b",
}
OPENINGS: list[Opening] = []
REQUESTS = [
    b"POST /v1/messages?beta=true HTTP/1.1\r\nHost: r\r\nX-Api-Key: secret-secret\r\nContent-Length: 5\r\n\r\n",
    b"POST /ollama/api/chat?key=secret-secret HTTP/1.1\r\nhost: r\r\ntransfer-encoding: chunked\r\n\r\n",
    b"GET /s/tag/v1/responses HTTP/1.1\r\nHost: r\r\nConnection: Upgrade, x\r\nUpgrade: websocket\r\nX: 1\r\n"
    b"Authorization: Bearer secret-secret\r\n"
    b"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.secret-secret\r\n\r\n",
    b"GET /v1/models HTTP/1.0\r\nConnection: keep-alive\r\nReferer: https://u:secret-secret@h/\r\n\r\n",
    b"CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com:443\r\n\r\n",
    b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
]
RESPONSES = [
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nSet-Cookie: secret-secret\r\nConnection: close, x\r\nX: 1\r\n\r\n",
    b"HTTP/1.0 404 Not Found\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    b"HTTP/1.1 302 F\r\nLocation: https://h/?sig=secret-secret\r\nContent-Length: 0\r\n\r\n",
]
RULES = TenantRules(TenantsConfig(rules=("credential", "header:x-tenant", "tag:team-")))
LIMITS = LimitBook({"*": TenantLimits(requests_per_minute=1)}, 1)
CHUNKS = [
    b"5\r\nhello\r\n0\r\n\r\n",
    b"5;a=b\r\nhello\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n",
    b"ffffffffffffff\r\n",
]
_HOST = re.compile(rb"^host:[ \t]*(.*?)[ \t]*$", re.IGNORECASE | re.MULTILINE)


def _encode(opening: Opening) -> bytes:
    OPENINGS.append(opening)
    return b""


@FUZZ
@given(mutated(REQUESTS))
def test_a_request_head_is_planned_or_refused(head: bytes) -> None:
    head = head.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    planner = Planner(Router(UPSTREAMS), LINES, FINGERPRINT, frozenset({b"x-session-tag"}), RULES, LIMITS, _encode)
    OPENINGS.clear()
    try:
        plan, digits = planner.plan(head)
    except BadHead:
        return
    if plan.route is None:
        return
    sent = plan.before + digits + plan.after
    assert plan.route.upstream.name in UPSTREAMS, "nobody but a configured provider is reached"
    assert [value.strip() for value in _HOST.findall(sent.replace(b"\r", b""))] == [plan.route.upstream.host_header]
    start, *lines = sent[:-4].split(b"\r\n")
    assert start.split(b" ")[1].startswith(b"/"), "a path, never an address"
    assert sent.count(b"\r\n\r\n") == 1
    assert not any(b"\n" in line or b"\r" in line for line in (start, *lines))
    assert planner.plan(head)[0].before == plan.before, "a head that was seen before is read the same"


@FUZZ
@given(mutated(REQUESTS).filter(lambda head: b"secret-secret" in head))
def test_credentials_in_their_places_are_not_in_what_is_recorded(head: bytes) -> None:
    places = rb"(?im)^(?:x-api-key:|authorization: ?bearer )[^\r\n]*$"
    secrets = [line for line in re.findall(places, head.replace(b"\r\n", b"\n")) if b"secret-secret" in line]
    planner = Planner(Router(UPSTREAMS), LINES, FINGERPRINT, frozenset(), RULES, LIMITS, _encode)
    OPENINGS.clear()
    with suppress(BadHead):
        planner.plan(head.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
    for opening in OPENINGS:
        for secret in secrets:
            assert secret not in opening.header_lines.replace(b"\r\n", b"\n")


@FUZZ
@given(mutated(RESPONSES), st.sampled_from(["GET", "HEAD", "POST"]))
def test_a_response_head_is_read_or_refused(head: bytes, method: str) -> None:
    head = head.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    try:
        read = read_response_head(head, NameKinds(), LINES, method)
    except BadHead:
        return
    assert 100 <= read.status_code <= 999
    assert read.forwarded.endswith(b"\r\n\r\n")
    assert b"\r\nset-cookie: secret-secret" not in b"\r\n" + read.recorded.lower()


@FUZZ
@given(mutated(CHUNKS), PLACES)
@example(b"1\r\n" * 50, [])
def test_chunked_bodies_end_or_are_refused_alike_however_they_are_cut(body: bytes, places: list[int]) -> None:
    outcomes: list[tuple[bytes, bool, bool]] = []
    for reads in ([body], splits(body, places), [bytes([byte]) for byte in body]):
        reader, payload, is_bad = ChunkedReader(), b"", False
        try:
            for data in reads:
                if not reader.is_done:
                    payload += reader.feed(data)[0]
        except BadChunking:
            is_bad = True
        outcomes.append((payload if not is_bad else b"", reader.is_done, is_bad))
        assert len(payload) <= len(body)
    assert outcomes[0] == outcomes[1] == outcomes[2]


@FUZZ
@given(st.text(max_size=200) | mutated(REQUESTS).map(lambda data: data.decode("latin-1")))
def test_targets_addresses_and_subprotocols_are_cleaned_whatever_they_are(text: str) -> None:
    assert FINGERPRINT.clean_target(text) is not None
    data = text.encode("latin-1", "replace")
    assert isinstance(FINGERPRINT.clean_url(data), bytes)
    assert isinstance(hidden_subprotocols(data, FINGERPRINT), bytes)
