"""An exchange as the assembler hands it on."""

from __future__ import annotations

import msgspec

from lunaroute.capture.records import ExchangeClosed, RequestOpened, ResponseOpened


class ExchangeKey(msgspec.Struct, frozen=True, array_like=True):
    """Names an exchange across lanes and relay starts."""

    lane: str
    start_wall_ns: int
    """`wall_ns` of the lane's RelayStarted."""
    exchange: int


class SocketPart(msgspec.Struct, frozen=True, kw_only=True):
    """What an exchange is of the WebSocket it was part of."""

    connection_id: str
    """The request_id of the handshake."""
    index: int
    """0, 1, 2 … of the exchanges on this socket."""
    is_turn: bool
    """One `response.create` and its answer; else messages that belong to none."""
    stream_id: str | None = None
    """The lane of a turn, where the client named one."""
    request_ns: list[int] = []
    """Arrival of each message of the request."""
    after_response_id: str | None = None
    """Of messages that belong to no turn: the response on this socket before them."""


class Exchange(msgspec.Struct, kw_only=True, gc=False):
    """One request and its response, growing as records arrive. Complete when `closed` is set.

    All `t_ns` in it are of one monotonic clock; the wall time of one is `wall_time.wall_ns_at`.
    """

    key: ExchangeKey
    opened: RequestOpened
    request_chunks: list[bytes] = []
    is_request_complete: bool = False
    request_ended_ns: int | None = None
    """Arrival of the request body's last byte."""
    pre_processing_ns: int | None = None
    response: ResponseOpened | None = None
    response_chunks: list[tuple[int, bytes]] = []
    """(t_ns, bytes) of each read."""
    closed: ExchangeClosed | None = None
    socket: SocketPart | None = None
    """None: not over a WebSocket. Else chunks are messages (see `socket`)."""

    @property
    def request_id(self) -> str:
        return self.opened.request_id

    @property
    def request_body(self) -> bytes:
        return b"".join(self.request_chunks)

    @property
    def response_body(self) -> bytes:
        return b"".join([data for _, data in self.response_chunks])


class RequestReceived(msgspec.Struct, frozen=True, gc=False):
    """The request is known in full, or as far as it ever will be; comes once, before ExchangeEnded."""

    exchange: Exchange


class ExchangeEnded(msgspec.Struct, frozen=True, gc=False):
    exchange: Exchange


class RunStarted(msgspec.Struct, frozen=True):
    """A new server run began: whatever an earlier run left open was not shut down in order."""

    run_id: str
    wall_ns: int


class RunEnded(msgspec.Struct, frozen=True):
    """The last relay of the current run has stopped in order."""

    wall_ns: int


class RecordingGap(msgspec.Struct, frozen=True):
    """Recording failed for a while; what passed then is not in any file."""

    since_wall_ns: int
    wall_ns: int
    exchange_count: int
    reason: str


Assembled = RequestReceived | ExchangeEnded | RunStarted | RunEnded | RecordingGap
