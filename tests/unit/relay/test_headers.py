"""Header fields: which stop at the relay, which are secret."""

from __future__ import annotations

import pytest

from lunaroute.relay.credentials import Fingerprinter
from lunaroute.relay.headers import (
    Kind,
    LineReader,
    NameKinds,
    connection_tokens,
    forwarded_lines,
    is_credential_name,
)


def forward(*raws: bytes, host: bytes | None = None) -> list[bytes]:
    reader = LineReader(lambda value: "fp", bytes)
    lines = [reader.read(raw) for raw in raws]
    return forwarded_lines(lines, connection_tokens(lines), host)


@pytest.mark.parametrize(
    "raw",
    [
        b"Connection: keep-alive",
        b"Keep-Alive: timeout=5",
        b"proxy-connection: x",
        b"Proxy-Authenticate: Basic",
        b"Proxy-Authorization: Basic eA==",
        b"Upgrade: h2c",
    ],
)
def test_hop_by_hop_line_stops_here(raw: bytes) -> None:
    assert forward(b"A: 1", raw, b"B: 2") == [b"A: 1", b"B: 2"]


@pytest.mark.parametrize(
    "raw", [b"TE: trailers", b"Trailer: X", b"Transfer-Encoding: chunked", b"content-length:5", b"Via: 1.1 x"]
)
def test_what_speaks_of_the_body_passes_as_the_body_does(raw: bytes) -> None:
    assert forward(raw) == [raw]


def test_lines_named_by_connection_stop_here_whatever_their_case() -> None:
    raws = [
        b"Connection: X-One , x-TWO",
        b"connection:,X-Three,",
        b"x-one: 1",
        b"X-Two: 2",
        b"X-THREE: 3",
        b"X-Four: 4",
    ]
    assert forward(*raws) == [b"X-Four: 4"]


@pytest.mark.parametrize(
    "raw", [b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Authorization: x", b"X-Api-Key: x", b"Host: r"]
)
def test_connection_cannot_take_away_framing_or_authentication(raw: bytes) -> None:
    assert forward(b"Connection: " + raw.partition(b":")[0], raw) == [raw]


def test_only_the_value_of_host_is_replaced() -> None:
    assert forward(b"A: 1", b"hOsT:\t r:1 ", b"a:2", host=b"provider:8443") == [b"A: 1", b"hOsT: provider:8443", b"a:2"]


def test_lines_keep_order_case_spacing_and_duplicates() -> None:
    raws = [b"b:1", b"A:  2  ", b"B: 1", b"b:1", b"x-y:", b"L: \xff\xe9"]
    assert forward(*raws) == raws


@pytest.mark.parametrize(
    "name",
    [
        "authorization",
        "proxy-authorization",
        "x-api-key",
        "api-key",
        "x-goog-api-key",
        "cookie",
        "set-cookie",
        "set-cookie2",
        "x-auth-token",
        "x-amz-security-token",
        "x-access-token",
        "x-token",
        "token",
        "x-secret",
        "client_secret",
        "x-password",
        "cf-access-jwt",
        "x-signature",
        "x-apikey",
        "apikey-id",
        "x-csrf-token",
        "x-auth-key",
        "ocp-apim-subscription-key",
        "x-functions-key",
        "openai-api-key",
        "x-credentials",
        "authentication",
        "x-goog-iap-jwt-assertion",
        "cf-access-jwt-assertion",
        "x-amzn-oidc-data",
        "x-amzn-oidc-accesstoken",
        "dpop",
        "x-passphrase",
        "api_key",
        "x-clientsecret",
        "x-cookies",
    ],
)
def test_credential_is_recognised_by_its_name(name: str) -> None:
    assert is_credential_name(name.encode())


@pytest.mark.parametrize(
    "name",
    [
        "x-ratelimit-remaining-tokens",
        "anthropic-ratelimit-tokens-remaining",
        "anthropic-ratelimit-input-tokens-limit",
        "x-ratelimit-limit-tokens",
        "idempotency-key",
        "x-idempotency-key",
        "x-stainless-retry-count",
        "x-stainless-lang",
        "max-tokens",
        "x-max-output-tokens",
        "anthropic-version",
        "anthropic-beta",
        "openai-organization",
        "content-type",
        "user-agent",
        "x-session-tag",
        "x-claude-code-session-id",
        "session_id",
        "keyboard",
        "x-monkey-business",
        "author",
        "x-author",
        "cookies-accepted",
        "sec-websocket-key",
    ],
)
def test_false_friend_of_a_credential_is_not_one(name: str) -> None:
    assert not is_credential_name(name.encode())


def test_credential_is_recorded_as_its_fingerprint_and_forwarded_as_it_is() -> None:
    line = LineReader(lambda value: f"fp_{len(value)}", bytes).read(b"X-API-Key:  sk-1234 ")
    assert (line.kind, line.recorded, line.raw) == (Kind.CREDENTIAL, b"X-API-Key: fp_7", b"X-API-Key:  sk-1234 ")


@pytest.mark.parametrize("value", [b"Bearer sk-12345678", b"basic eA==eA==eA==", b"ApiKey 0123456789"])
def test_what_is_a_credential_by_its_value_is_hidden_under_any_name(value: bytes) -> None:
    line = LineReader(lambda value: "fp", bytes).read(b"X-Forwarded-As: " + value)
    assert (line.kind, line.recorded) == (Kind.CREDENTIAL, b"X-Forwarded-As: fp")
    assert forwarded_lines([line], frozenset()) == [b"X-Forwarded-As: " + value]


def test_credentials_within_an_address_are_hidden_and_the_address_is_forwarded() -> None:
    fingerprint = Fingerprinter(b"1" * 32)
    raw = b"Location: https://u:pw@files.example/x?id=1&sig=abc"
    line = LineReader(fingerprint, fingerprint.clean_url).read(raw)
    shown = f"https://{fingerprint(b'u:pw')}@files.example/x?id=1&sig={fingerprint(b'abc')}"
    assert line.recorded == b"Location: " + shown.encode()
    assert forwarded_lines([line], frozenset()) == [raw]


@pytest.mark.parametrize(
    ("offered", "recorded"),
    [
        (b"realtime", None),
        (b"graphql-ws, openai-beta.realtime-v1", None),
        (b"realtime, openai-insecure-api-key.sk-1.2", b"realtime, openai-insecure-api-key.fp_6"),
        (b"token, 0123456789abcdef", b"token, fp_16"),
        (b"base64url.bearer.authorization.k8s.io.AAAA", b"base64url.bearer.authorization.fp_11"),
        (b"eyJ" + b"a" * 60, b"fp_63"),
    ],
)
def test_keys_among_subprotocols_are_recorded_as_fingerprints(offered: bytes, recorded: bytes | None) -> None:
    line = LineReader(lambda value: f"fp_{len(value)}", bytes).read(b"Sec-WebSocket-Protocol: " + offered)
    assert line.raw == b"Sec-WebSocket-Protocol: " + offered
    assert line.recorded == b"Sec-WebSocket-Protocol: " + (recorded or offered)
    assert line.kind is (Kind.END_TO_END if recorded is None else Kind.CREDENTIAL)


def test_an_upgrade_keeps_the_lines_that_ask_for_it() -> None:
    lines = LineReader(lambda value: "fp", bytes)
    raws = [b"Host: a", b"Connection: Upgrade, X-Hop", b"Upgrade: websocket", b"X-Hop: 1", b"Keep-Alive: 5", b"A: b"]
    read = [lines.read(raw) for raw in raws]
    tokens = connection_tokens(read)
    kept = [b"Host: h", b"Connection: Upgrade, X-Hop", b"Upgrade: websocket", b"A: b"]
    assert forwarded_lines(read, tokens, b"h", is_upgrade=True) == kept
    assert forwarded_lines(read, tokens, b"h") == [b"Host: h", b"A: b"]


def test_readers_stay_right_however_many_lines_they_have_seen() -> None:
    lines, names = LineReader(lambda value: "fp", bytes), NameKinds()
    for _ in range(2):
        for number in range(5000):
            assert lines.read(b"N-%d: v" % number).value == b"v"
            assert names[b"N-%d" % number] is Kind.END_TO_END
    assert names[b"Connection"] is Kind.CONNECTION
    for no_name in (b"no name", b"", b"a\xe9"):
        with pytest.raises(KeyError):
            names[no_name]
