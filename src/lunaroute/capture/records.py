"""Records: what the relay saw, byte-exact, in the order it saw it.

A record belongs to one exchange, named by `exchange`: a counter that is unique within one lane (one relay
process's stream of records) and one relay start. The records of an exchange come in this order:

    RequestOpened  RequestChunk*  ResponseOpened?  ResponseChunk*  ExchangeClosed

with RequestChunk and ResponseOpened/ResponseChunk interleaved freely, because a provider may answer before the
request has been sent in full. After a ResponseOpened with status 101 the connection has changed its protocol, and

    UpgradeChunk*  ExchangeClosed

follow. Records of different exchanges interleave freely too.

Two clocks, both named: `t_ns` is monotonic and is only ever subtracted from another `t_ns` of the same relay
start; `wall_ns` is Unix time for people. Body bytes are what the peer sent, after the transfer coding (chunked)
and before the content coding (gzip …) is undone.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Outcome = Literal[
    "completed",
    "http_error",
    "stream_error",
    "client_cancelled",
    "upstream_cut",
    "upstream_unreachable",
    "interrupted",
    "blocked",
]
"""How an exchange ended (CONTRACT §2.3). The relay itself only knows `completed`, `client_cancelled`,
`upstream_cut`, `upstream_unreachable`, `interrupted` and `blocked`; the other two are read out of the response."""

HeaderList = list[tuple[bytes, bytes]]
"""Header fields as (name, value): order, case and duplicates as received."""


def join_headers(headers: HeaderList) -> bytes:
    """Header fields as they are kept in a record: lines joined by CRLF."""
    return b"\r\n".join(name + b": " + value for name, value in headers)


def split_headers(lines: bytes) -> HeaderList:
    """The inverse of what the relay recorded: (name, value) of each line, white space around values removed."""
    headers = []
    for line in lines.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if colon:
            headers.append((name, value.strip(b" \t")))
    return headers


class RelayStarted(msgspec.Struct, frozen=True, array_like=True, tag=1, gc=False):
    """First record of a relay start in its lane. What the lane's earlier start left open was interrupted."""

    t_ns: int
    wall_ns: int
    run_id: str
    """The `lunaroute serve` this relay belongs to; a restarted worker keeps it, a new server does not."""
    pid: int
    version: str


class RelayStopped(msgspec.Struct, frozen=True, array_like=True, tag=2, gc=False):
    """Last record of an orderly stop; nothing of this start follows."""

    t_ns: int
    wall_ns: int


class RecordsLost(msgspec.Struct, frozen=True, array_like=True, tag=3, gc=False):
    """Writing failed for a while (disk full, permission), or what was written was damaged. Everything open in the lane
    at that time is incomplete."""

    t_ns: int
    wall_ns: int
    """Where this and the next are 0, a reader put the record in the place of damaged bytes: it knows `t_ns` alone."""
    since_wall_ns: int
    exchange_count: int
    """Exchanges that passed unrecorded, in whole or in part; 0 = not known."""
    reason: str


class RequestOpened(msgspec.Struct, frozen=True, array_like=True, tag=4, gc=False):
    """A request's head was received and routed."""

    exchange: int
    t_ns: int
    wall_ns: int
    request_id: str
    """UUIDv7, ours; lower-case hyphenated text."""
    listener: str
    """Ingress surface that took the request: `anthropic`, `openai`, `google`, or a provider's name."""
    provider: str
    method: str
    target: str
    """Path and query as received, values of credential parameters replaced."""
    path: str
    """Path as sent to the provider, without query, `/{provider}` prefix and `/s/<tag>`."""
    http_version: str
    header_lines: bytes
    """Raw header lines joined by CRLF, credentials replaced by fingerprints; see `headers`."""
    client_ip: str
    session_tags: list[str]
    credential: str | None
    """Salted fingerprint of the credential the request carried."""
    tenant: str | None = None
    """Whose request it is, by the relay's rules."""

    @property
    def headers(self) -> HeaderList:
        return split_headers(self.header_lines)


class Opening(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What of a RequestOpened is the same for every request with the same head, so that it is encoded once."""

    listener: str
    provider: str
    method: str
    target: str
    path: str
    http_version: str
    header_lines: bytes
    session_tags: list[str]
    credential: str | None
    length_at: int = -1
    """Where in `header_lines` the digits of the content length were cut out; -1 = nowhere."""
    tenant: str | None = None


class RequestChunk(msgspec.Struct, frozen=True, array_like=True, tag=5, gc=False):
    """Body bytes of the request."""

    exchange: int
    t_ns: int
    data: bytes
    pre_processing_ns: int | None
    """Set exactly once, on the last chunk of a body received in full (a request without a body has one empty
    chunk): time spent in our own code on this request so far."""


class ResponseOpened(msgspec.Struct, frozen=True, array_like=True, tag=6, gc=False):
    """The response's final head (not 1xx). Its `t_ns` is the arrival of the first response byte."""

    exchange: int
    t_ns: int
    status_code: int
    reason: str
    header_lines: bytes

    @property
    def headers(self) -> HeaderList:
        return split_headers(self.header_lines)


class ResponseChunk(msgspec.Struct, frozen=True, array_like=True, tag=7, gc=False):
    """Body bytes of the response as they arrived in one read."""

    exchange: int
    t_ns: int
    data: bytes


class ExchangeClosed(msgspec.Struct, frozen=True, array_like=True, tag=8, gc=False):
    """The exchange is over; no record of it follows."""

    exchange: int
    t_ns: int
    outcome: Outcome
    detail: str | None
    """Why, for a person, when it was not `completed`."""
    sent_ns: int | None
    """Monotonic time when the first request byte was handed to the provider's connection; None = never."""
    pre_processing_ns: int
    """Time spent in our own code on the way to the provider, recording included."""
    post_processing_ns: int
    """The same on the way back."""


class UpgradeChunk(msgspec.Struct, frozen=True, array_like=True, tag=10, gc=False):
    """Bytes of an upgraded connection (WebSocket) as they arrived in one read, framing and all."""

    exchange: int
    t_ns: int
    data: bytes
    """Empty: this side has finished sending."""
    from_client: bool
    pre_processing_ns: int
    """Time spent in our own code on this connection's way to the provider so far, this read not included."""
    post_processing_ns: int
    """The same on the way back."""


Record = (
    RelayStarted
    | RelayStopped
    | RecordsLost
    | RequestOpened
    | RequestChunk
    | ResponseOpened
    | ResponseChunk
    | ExchangeClosed
    | UpgradeChunk
)
