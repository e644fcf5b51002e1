"""One WebSocket's bytes → exchanges: each turn of the Responses protocol is one, the rest of the messages another.

In: the UpgradeChunks of a connection and its end. Out: RequestReceived and ExchangeEnded, as for HTTP. What a turn's
bodies are: the request is the payload of its `response.create` message; the response is the payloads of the provider's
messages, each followed by a line feed, one chunk a message (the last one of a cut turn may be the beginning of one, and
then has no line feed). A turn's request_id is made of the connection's and the turn's number.

The rules are the provider's (WebSocket mode of the Responses API): a client may send several `response.create`; those
of one lane (`stream_id`, absent = the default lane) are answered one after the other, different lanes side by side,
and each message of an answer names its lane. A turn ends with the response's terminal event, or with an `error`.
After `response.steer` the provider may begin a response by itself: that is a turn, whose request are the steering
messages.

On a path of another protocol (realtime) all messages belong to no turn. Those are kept until the socket ends, or until
they are MAX_REST_BYTES, and then are an exchange: client's messages the request, provider's the response, each followed
by a line feed; bytes that are no messages (`unread`) stand there as they came.
"""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.capture.ids import derived_uuid7
from lunaroute.capture.records import ExchangeClosed, Outcome, UpgradeChunk

from .exchange import Assembled, Exchange, ExchangeEnded, RequestReceived, SocketPart
from .websocket import Message, MessageReader, ReaderState, agreed_deflate, close_reason

MAX_REST_BYTES = 16 * 1024 * 1024
_PATH_END = "/responses"
_BEGINS = "response.created"
_ENDS = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})
_NAMES_RESPONSE = _ENDS | {_BEGINS}


class _Envelope(msgspec.Struct):
    type: Any = None
    stream_id: Any = None
    previous_response_id: Any = None
    response: msgspec.Raw = msgspec.Raw()


class _Response(msgspec.Struct):
    id: Any = None
    previous_response_id: Any = None


_envelope_decoder = msgspec.json.Decoder(_Envelope)
_response_decoder = msgspec.json.Decoder(_Response)
_NOTHING = _Envelope()


class _Turn(msgspec.Struct):
    """A turn that has not ended."""

    exchange: Exchange
    previous_response_id: str | None
    pre_ns: int
    """The connection's own time on the way to the provider before this turn; then, once known, the turn's share."""
    post_ns: int = -1
    """… on the way back before its first message; -1 = none came."""
    spent_post_ns: int = 0
    is_sent: bool = False
    """The first read after the request was seen: `pre_ns` and `sent_ns` are final."""
    sent_ns: int = 0

    @property
    def lane(self) -> str | None:
        part = self.exchange.socket
        return None if part is None else part.stream_id


class _Rest(msgspec.Struct):
    """Messages that belong to no turn."""

    opened_ns: int = 0
    request: list[bytes] = []
    request_ns: list[int] = []
    response: list[tuple[int, bytes]] = []
    size_bytes: int = 0


class SocketState(msgspec.Struct, array_like=True, tag=100):
    """All that a socket needs to go on, besides its handshake."""

    exchange: int
    client: ReaderState
    server: ReaderState
    turns: list[_Turn] = []
    count: int = 0
    """Exchanges begun."""
    rest: _Rest = msgspec.field(default_factory=_Rest)
    steering: dict[str, list[bytes]] = {}
    """By the response it steers: messages that the provider may answer by itself."""
    ended_responses: dict[str, str] = {}
    """By lane (empty = default): id of the response that ended last."""
    last_response_id: str | None = None
    last_ns: int = 0
    started_pre_ns: int = 0
    """The connection's own time when the client's message in progress began."""
    ended_first: str | None = None
    """`client` or `provider`: who closed, or said so first."""
    closing: str | None = None
    """With what close code and reason."""


class Socket:
    """feed(chunk)* → close(record), once."""

    def __init__(self, handshake: Exchange) -> None:
        """`handshake`: answered with 101."""
        self._handshake = handshake
        self._is_responses = handshake.opened.path.rstrip("/").endswith(_PATH_END)
        headers = [] if handshake.response is None else handshake.response.headers
        agreed = agreed_deflate(
            value.decode("latin-1") for name, value in headers if name.lower() == b"sec-websocket-extensions"
        )
        self._client = MessageReader(None if agreed is None else agreed.client_keeps_window)
        self._server = MessageReader(None if agreed is None else agreed.server_keeps_window)
        self._state = SocketState(handshake.opened.exchange, self._client.state, self._server.state)
        self._news: list[UpgradeChunk] = []

    # ---- saving ---------------------------------------------------------------------------------------------

    def take_news(self) -> list[UpgradeChunk]:
        """What was fed since the last call."""
        news, self._news = self._news, []
        return news

    @property
    def state(self) -> SocketState:
        return self._state

    def restore(self, state: SocketState) -> None:
        self._state = state
        self._client.state, self._server.state = state.client, state.server

    @property
    def last_ns(self) -> int:
        return self._state.last_ns

    # ---- bytes ----------------------------------------------------------------------------------------------

    def feed(self, chunk: UpgradeChunk) -> list[Assembled]:
        """What the read completes."""
        self._news.append(chunk)
        state = self._state
        state.last_ns = chunk.t_ns
        self._settle_sent(chunk.pre_processing_ns)
        if not chunk.data:
            state.ended_first = state.ended_first or ("client" if chunk.from_client else "provider")
            return []
        out: list[Assembled] = []
        if not chunk.from_client:
            for message in self._server.feed(chunk.data, chunk.t_ns):
                out += self._from_provider(message, chunk)
        else:
            if self._client.is_between_messages:
                state.started_pre_ns = chunk.pre_processing_ns
            for message in self._client.feed(chunk.data, chunk.t_ns):
                out += self._from_client(message, chunk)
                state.started_pre_ns = chunk.pre_processing_ns
        return [*out, *self._flushed_rest(chunk.t_ns)]

    def close(self, closed: ExchangeClosed) -> list[Assembled]:
        """The connection is over: what is open ends with it."""
        state = self._state
        t_ns = state.last_ns or closed.t_ns
        self._settle_sent(closed.pre_processing_ns)
        cut = self._server.finish(t_ns)
        if cut is not None and state.turns:
            self._add_answer(state.turns[0], cut, closed.post_processing_ns, is_cut=True)
        elif cut is not None:
            self._keep(cut, from_client=False)
        unsent = self._client.finish(t_ns)
        if unsent is not None:
            self._keep(unsent, from_client=True)
        outcome, detail = self._cut_outcome(closed)
        out: list[Assembled] = []
        for turn in list(state.turns):
            out += self._ended(turn, closed.t_ns, outcome, detail)
        if state.rest.size_bytes or state.count == 0:
            out += self._rest_exchange(closed.t_ns, closed)
        return out

    # ---- messages -------------------------------------------------------------------------------------------

    def _from_client(self, message: Message, chunk: UpgradeChunk) -> list[Assembled]:
        if self._is_control(message, "client"):
            return []
        if not self._is_responses or message.kind != "text":
            self._keep(message, from_client=True)
            return []
        envelope = _envelope(message.data)
        if envelope.type == "response.create":
            previous_id = _text(envelope.previous_response_id)
            lane = _text(envelope.stream_id)
            self._state.steering.pop(previous_id or "", None)  # the provider puts it in front of this input
            return self._begun([message.data], [message.t_ns], message, lane, previous_id, chunk.pre_processing_ns)
        if envelope.type == "response.steer" and isinstance(envelope.previous_response_id, str):
            self._state.steering.setdefault(envelope.previous_response_id, []).append(message.data)
        self._keep(message, from_client=True)
        return []

    def _from_provider(self, message: Message, chunk: UpgradeChunk) -> list[Assembled]:
        if self._is_control(message, "provider"):
            return []
        if not self._is_responses or message.kind != "text":
            self._keep(message, from_client=False)
            return []
        envelope = _envelope(message.data)
        response = _response(envelope.response) if envelope.type in _NAMES_RESPONSE else _Response()
        response_id = _text(response.id)
        lane = _text(envelope.stream_id)
        turn = self._turn_of(lane, response_id)
        out: list[Assembled] = []
        if envelope.type == _BEGINS and self._is_successor(turn, lane, response):
            out = self._begun_by_provider(message, lane, _text(response.previous_response_id), chunk)
            turn = self._state.turns[-1]
        if turn is None:
            self._keep(message, from_client=False)
            return out
        self._add_answer(turn, message, chunk.post_processing_ns)
        if envelope.type in _ENDS or envelope.type == "error":
            if response_id is not None:
                self._state.ended_responses[turn.lane or ""] = self._state.last_response_id = response_id
            out += self._ended(turn, message.t_ns, "completed", None)
        elif response_id is not None:
            self._state.last_response_id = response_id
            self._state.ended_responses.pop(turn.lane or "", None)
        return out

    def _is_control(self, message: Message, side: str) -> bool:
        """Whether it is a control frame; the first close frame says who ends the connection, and why."""
        if message.kind == "close" and self._state.ended_first is None:
            self._state.ended_first = side
            self._state.closing = close_reason(message.data)
        return message.kind in ("close", "ping", "pong")

    def _turn_of(self, lane: str | None, response_id: str | None) -> _Turn | None:
        """The turn that a message of the provider belongs to: the first one open in its lane."""
        turns = self._state.turns
        if response_id is not None and response_id == self._state.ended_responses.get(lane or ""):
            return None  # an afterthought to one that has ended: `response.failed` after `error`
        for turn in turns:
            if turn.lane == lane:
                return turn
        # Not every provider repeats the lane; where there is only one turn, there is no doubt.
        return turns[0] if lane is None and len(turns) == 1 else None

    def _is_successor(self, turn: _Turn | None, lane: str | None, response: _Response) -> bool:
        """Whether the provider begins this response by itself, to go on from one that was steered."""
        previous_id = _text(response.previous_response_id)
        if turn is None:
            return lane is not None or not self._state.turns
        return previous_id in self._state.steering and turn.previous_response_id != previous_id

    # ---- turns ----------------------------------------------------------------------------------------------

    def _begun_by_provider(
        self, message: Message, lane: str | None, previous_id: str | None, chunk: UpgradeChunk
    ) -> list[Assembled]:
        """Its request are the messages that steered the response before it."""
        steering = self._state.steering.pop(previous_id or "", [])
        for data in steering:
            self._unkeep(data)
        out = self._begun(
            steering, [message.started_ns] * len(steering), message, lane, previous_id, chunk.pre_processing_ns
        )
        self._state.turns[-1].is_sent = True
        self._state.turns[-1].pre_ns = 0
        # It comes before what waits in its lane.
        self._state.turns.insert(0, self._state.turns.pop())
        return out

    def _begun(
        self,
        request: list[bytes],
        request_ns: list[int],
        message: Message,
        lane: str | None,
        previous_id: str | None,
        pre_ns: int,
    ) -> list[Assembled]:
        state = self._state
        exchange = self._new_exchange(message.started_ns, is_turn=True, lane=lane, request_ns=request_ns)
        exchange.request_chunks = request if len(request) <= 1 else [data + b"\n" for data in request]
        exchange.is_request_complete = True
        exchange.request_ended_ns = message.t_ns
        exchange.pre_processing_ns = max(0, pre_ns - state.started_pre_ns)
        state.turns.append(_Turn(exchange, previous_id, state.started_pre_ns, sent_ns=message.started_ns))
        return [RequestReceived(exchange)]

    def _settle_sent(self, pre_ns: int) -> None:
        """The first news after a request tells how long our own code had it."""
        for turn in self._state.turns:
            if not turn.is_sent:
                turn.is_sent = True
                turn.pre_ns = max(0, pre_ns - turn.pre_ns)
                if turn.exchange.request_ended_ns == turn.exchange.opened.t_ns:  # it came in one read
                    turn.sent_ns += turn.pre_ns

    def _add_answer(self, turn: _Turn, message: Message, post_ns: int, is_cut: bool = False) -> None:
        exchange = turn.exchange
        if exchange.response is None and self._handshake.response is not None:
            head = self._handshake.response
            part = exchange.socket
            lines = head.header_lines if part is not None and part.index == 0 else b""
            exchange.response = msgspec.structs.replace(head, t_ns=message.started_ns, header_lines=lines)
        if turn.post_ns < 0:
            turn.post_ns = post_ns
        turn.spent_post_ns = max(0, post_ns - turn.post_ns)
        exchange.response_chunks.append((message.t_ns, message.data if is_cut else message.data + b"\n"))

    def _ended(self, turn: _Turn, t_ns: int, outcome: Outcome, detail: str | None) -> list[Assembled]:
        self._state.turns.remove(turn)
        number = turn.exchange.opened.exchange
        turn.exchange.closed = ExchangeClosed(
            number, t_ns, outcome, detail, turn.sent_ns, turn.pre_ns, turn.spent_post_ns
        )
        return [ExchangeEnded(turn.exchange)]

    def _cut_outcome(self, closed: ExchangeClosed) -> tuple[Outcome, str | None]:
        """How the connection's end ends a turn."""
        if closed.outcome != "completed":
            return closed.outcome, closed.detail
        is_provider = self._state.ended_first == "provider"
        side = "the provider" if is_provider else "the client"
        how = "" if self._state.closing is None else f": {self._state.closing}"
        return "upstream_cut" if is_provider else "client_cancelled", f"{side} closed the WebSocket{how}"

    def _new_exchange(self, t_ns: int, *, is_turn: bool, lane: str | None, request_ns: list[int]) -> Exchange:
        opened = self._handshake.opened
        index = self._state.count
        self._state.count += 1
        wall_ns = opened.wall_ns + (t_ns - opened.t_ns)
        return Exchange(
            key=self._handshake.key,
            opened=msgspec.structs.replace(
                opened,
                t_ns=t_ns,
                wall_ns=wall_ns,
                request_id=derived_uuid7(wall_ns // 1_000_000, opened.request_id, str(index)),
            ),
            socket=SocketPart(
                connection_id=opened.request_id,
                index=index,
                is_turn=is_turn,
                stream_id=lane,
                request_ns=request_ns,
                after_response_id=None if is_turn else self._state.last_response_id,
            ),
        )

    # ---- the rest -------------------------------------------------------------------------------------------

    def _keep(self, message: Message, from_client: bool) -> None:
        rest = self._state.rest
        if not rest.size_bytes:
            rest.opened_ns = message.started_ns
        data = message.data if message.kind in ("unread", "cut") else message.data + b"\n"
        rest.size_bytes += len(data)
        if from_client:
            rest.request.append(data)
            rest.request_ns.append(message.t_ns)
        else:
            rest.response.append((message.t_ns, data))

    def _unkeep(self, payload: bytes) -> None:
        """A kept message of the client has found its turn."""
        rest = self._state.rest
        data = payload + b"\n"
        if data in rest.request:
            at = rest.request.index(data)
            del rest.request[at], rest.request_ns[at]
            rest.size_bytes -= len(data)

    def _flushed_rest(self, t_ns: int) -> list[Assembled]:
        if self._state.rest.size_bytes < MAX_REST_BYTES:
            return []
        number = self._handshake.opened.exchange
        self._state.steering.clear()
        return self._rest_exchange(t_ns, ExchangeClosed(number, t_ns, "completed", None, None, 0, 0))

    def _rest_exchange(self, t_ns: int, closed: ExchangeClosed) -> list[Assembled]:
        """What belongs to no turn, as an exchange. It has no latency: nothing in it answers anything."""
        state = self._state
        is_first = state.count == 0
        rest, state.rest = state.rest, _Rest()
        opened_ns = self._handshake.opened.t_ns if is_first else rest.opened_ns or t_ns
        exchange = self._new_exchange(opened_ns, is_turn=False, lane=None, request_ns=rest.request_ns)
        if is_first:
            exchange.opened = self._handshake.opened
        exchange.request_chunks, exchange.response_chunks = rest.request, rest.response
        exchange.is_request_complete = True
        exchange.request_ended_ns = rest.request_ns[-1] if rest.request_ns else opened_ns
        exchange.pre_processing_ns = 0
        head = self._handshake.response
        if head is not None:
            lines = head.header_lines if is_first else b""
            exchange.response = msgspec.structs.replace(head, t_ns=max(head.t_ns, opened_ns), header_lines=lines)
        exchange.closed = msgspec.structs.replace(
            closed,
            sent_ns=None,
            pre_processing_ns=closed.pre_processing_ns if is_first else 0,
            post_processing_ns=closed.post_processing_ns if is_first else 0,
        )
        return [RequestReceived(exchange), ExchangeEnded(exchange)]


def _envelope(payload: bytes) -> _Envelope:
    try:
        return _envelope_decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return _NOTHING


def _response(raw: msgspec.Raw) -> _Response:
    try:
        return _response_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return _Response()


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
