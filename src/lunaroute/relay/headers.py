"""[pure] Header fields, line by line: what each means to the relay, and what of it may be recorded.

A line is kept as its raw bytes, so that name case, spacing, order and duplicates reach the other side as sent.
The only copy of the hop-by-hop rules (RFC 9110 §7.6.1) and of the list of credential headers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import IntEnum

import msgspec


class Kind(IntEnum):
    """What a header field means to the relay."""

    END_TO_END = 0
    HOP_BY_HOP = 1
    HOST = 2
    CONTENT_LENGTH = 3
    TRANSFER_ENCODING = 4
    CONNECTION = 5
    CREDENTIAL = 6
    UPGRADE = 7
    PROXY_CREDENTIAL = 8
    ADDRESS = 9
    """A URL, which may hold a credential."""


_KINDS = {
    b"keep-alive": Kind.HOP_BY_HOP,
    b"proxy-connection": Kind.HOP_BY_HOP,
    b"proxy-authenticate": Kind.HOP_BY_HOP,
    b"proxy-authorization": Kind.PROXY_CREDENTIAL,
    b"host": Kind.HOST,
    b"content-length": Kind.CONTENT_LENGTH,
    b"transfer-encoding": Kind.TRANSFER_ENCODING,
    b"connection": Kind.CONNECTION,
    b"upgrade": Kind.UPGRADE,
    b"location": Kind.ADDRESS,
    b"content-location": Kind.ADDRESS,
    b"operation-location": Kind.ADDRESS,
    b"azure-asyncoperation": Kind.ADDRESS,
    b"referer": Kind.ADDRESS,
    b"http-referer": Kind.ADDRESS,
    b"link": Kind.ADDRESS,
    b"refresh": Kind.ADDRESS,
    b"x-goog-upload-url": Kind.ADDRESS,
    b"x-goog-upload-control-url": Kind.ADDRESS,
    b"x-original-url": Kind.ADDRESS,
    b"x-rewrite-url": Kind.ADDRESS,
    b"x-forwarded-uri": Kind.ADDRESS,
}
# TE, Trailer and Transfer-Encoding stay: the chunked framing passes through as it is, trailers included, so
# what they say is true on both sides.

_CREDENTIAL = re.compile(
    rb"(?:^|[-_])(?:authorization|authentication|auth|cookies?|cookie2|credentials?|key|keys|secret|secrets|token|password|"
    rb"passwd|pwd|passphrase|signature|jwt|bearer|dpop|assertion|access-key-id|oidc-data|oidc-accesstoken)$"
    rb"|^set-cookie|apikey|api-key|api_key|apitoken|authtoken|clientsecret|access-token|auth-token|jwt-assertion"
)
_SECRET_VALUE = re.compile(rb"(?:bearer|basic|apikey|aws4-hmac-sha256) +[^ ]{8,}", re.IGNORECASE)
"""What is a credential whatever the header is called."""
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_SUBPROTOCOLS = b"sec-websocket-protocol"
_SECRET_SUBPROTOCOL = re.compile(rb"(.*(?:key|token|auth|authorization|bearer|secret|jwt)\b[^.]*\.)(.+)", re.IGNORECASE)
_SECRET_FOLLOWS = {b"token", b"bearer", b"authorization", b"auth", b"api-key", b"apikey", b"key", b"jwt"}
_LONGEST_SUBPROTOCOL_NAME = 40
_NOT_CREDENTIAL = {b"idempotency-key", b"x-idempotency-key", b"sec-websocket-key"}


class Line(msgspec.Struct, frozen=True):
    """One header field."""

    kind: Kind
    name: bytes
    """Lower case."""
    value: bytes
    """Without the white space around it."""
    raw: bytes
    """The whole line as received, without CRLF."""
    recorded: bytes
    """The line as it may go to disk: credentials replaced by their fingerprint."""


def is_credential_name(name: bytes) -> bool:
    """Whether a header (lower-case name) carries a secret by its name."""
    return _CREDENTIAL.search(name) is not None and name not in _NOT_CREDENTIAL


def kind_of(name: bytes) -> Kind:
    """Of a lower-case header name."""
    kind = _KINDS.get(name)
    if kind is not None:
        return kind
    return Kind.CREDENTIAL if is_credential_name(name) else Kind.END_TO_END


_MOST_REMEMBERED = 4096


class NameKinds(dict[bytes, Kind]):
    """What header names mean, remembered by their raw bytes; for heads whose values are new each time.

    `kinds[name]` raises KeyError for what is no header name."""

    def __missing__(self, name: bytes) -> Kind:
        if _TOKEN.fullmatch(name) is None:
            raise KeyError(name)
        if len(self) >= _MOST_REMEMBERED:
            self.clear()
        kind = self[name] = kind_of(name.lower())
        return kind


class LineReader:
    """Header lines by their raw bytes, remembered: clients send the same lines over and over."""

    def __init__(self, fingerprint: Callable[[bytes], str], clean_url: Callable[[bytes], bytes]) -> None:
        """`fingerprint` stands in for a credential; `clean_url` does that for those within an address."""
        self._fingerprint = fingerprint
        self._clean_url = clean_url
        self._known: dict[bytes, Line] = {}

    def read(self, raw: bytes) -> Line:
        line = self._known.get(raw)
        if line is None:
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            line = self._known[raw] = self._parse(raw)
        return line

    def _parse(self, raw: bytes) -> Line:
        name, _, value = raw.partition(b":")
        value = value.strip(b" \t")
        lower = name.lower()
        kind = kind_of(lower)
        shown = value
        if lower == _SUBPROTOCOLS:
            shown = hidden_subprotocols(value, self._fingerprint)
        elif kind is Kind.ADDRESS:
            shown = self._clean_url(value)
        elif kind in (Kind.CREDENTIAL, Kind.PROXY_CREDENTIAL) or _SECRET_VALUE.match(value) is not None:
            shown = self._fingerprint(value).encode()
        if kind is Kind.END_TO_END and shown != value:
            kind = Kind.CREDENTIAL
        return Line(kind, lower, value, raw, raw if shown == value else name + b": " + shown)


def hidden_subprotocols(value: bytes, fingerprint: Callable[[bytes], str]) -> bytes:
    """WebSocket subprotocols with the secrets among them replaced: a browser cannot set headers, so keys travel there
    (OpenAI's `openai-insecure-api-key.<key>`, Deepgram's `token, <key>`, Kubernetes' `base64url.bearer.…`). The value
    itself where there is none."""
    offered = [token.strip() for token in value.split(b",")]
    shown: list[bytes] = []
    for number, token in enumerate(offered):
        match = _SECRET_SUBPROTOCOL.fullmatch(token)
        if match is not None:
            shown.append(match[1] + fingerprint(match[2]).encode())
        elif len(token) > _LONGEST_SUBPROTOCOL_NAME or (number and offered[number - 1].lower() in _SECRET_FOLLOWS):
            shown.append(fingerprint(token).encode())
        else:
            shown.append(token)
    return value if shown == offered else b", ".join(shown)


def connection_tokens(lines: list[Line]) -> frozenset[bytes]:
    """Lower-case members of all Connection fields: `close`, `keep-alive`, and names of more hop-by-hop fields."""
    tokens = [
        token.strip().lower() for line in lines if line.kind is Kind.CONNECTION for token in line.value.split(b",")
    ]
    return frozenset(token for token in tokens if token)


_NEVER_DROPPED = frozenset(
    {b"close", b"keep-alive", b"host", b"content-length", b"transfer-encoding", b"authorization", b"x-api-key"}
)
"""A Connection field must not talk the relay out of framing or authentication (RFC 9110 §7.6.1, last paragraphs)."""


def forwarded_lines(
    lines: list[Line], tokens: frozenset[bytes], host: bytes | None = None, is_upgrade: bool = False
) -> list[bytes]:
    """Raw lines for the other side: all but the hop-by-hop ones; `host` takes the place of Host's value.
    `is_upgrade`: Connection and Upgrade are passed on too."""
    named = tokens - _NEVER_DROPPED
    out = []
    for line in lines:
        kind = line.kind
        if kind is Kind.END_TO_END or kind is Kind.CREDENTIAL or kind is Kind.ADDRESS:
            if not named or line.name not in named:
                out.append(line.raw)
        elif kind is Kind.CONTENT_LENGTH or kind is Kind.TRANSFER_ENCODING:
            out.append(line.raw)
        elif kind is Kind.HOST:
            out.append(line.raw if host is None else line.raw[:5] + b" " + host)
        elif is_upgrade and (kind is Kind.CONNECTION or kind is Kind.UPGRADE):
            out.append(line.raw)
    return out
