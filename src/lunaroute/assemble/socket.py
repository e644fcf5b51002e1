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

from collections.abc import Iterator

import msgspec

from lunaroute.capture.ids import derived_uuid7
from lunaroute.capture.records import ExchangeClosed, Outcome, ResponseOpened, UpgradeChunk

from .exchange import Assembled, Exchange, ExchangeEnded, RequestReceived, SocketPart
from .rest import Rest
from .turn import BEGINS, ENDS, Said, Turn, read_said
from .websocket import Message, MessageReader, ReaderState, agreed_deflate, close_reason

MAX_REST_BYTES = 16 * 1024 * 1024
_PATH_END = "/responses"


class SocketState(msgspec.Struct, array_like=True, tag=100):
    """All that a socket needs to go on, besides its handshake."""

    exchange: int
    client: ReaderState
    server: ReaderState
    turns: list[Turn] = []
    """In the order in which they are answered."""
    count: int = 0
    """Exchanges begun."""
    rest: Rest = msgspec.field(default_factory=Rest)
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

    def __init__(self, handshake: Exchange, head: ResponseOpened) -> None:
        """`head`: the provider's 101."""
        self._handshake = handshake
        self._head = head
        self._is_responses = handshake.opened.path.rstrip("/").endswith(_PATH_END)
        agreed = agreed_deflate(
            value.decode("latin-1") for name, value in head.headers if name.lower() == b"sec-websocket-extensions"
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
        """Goes on changing; to be stored at once."""
        return self._state

    @property
    def size_bytes(self) -> int:
        """About how large the state is."""
        state = self._state
        readers = sum(
            sum(map(len, reader.pieces)) + reader.fragments_bytes + len(reader.window)
            for reader in (state.client, state.server)
        )
        return readers + state.rest.size_bytes + sum(turn.size_bytes for turn in state.turns)

    def restore(self, state: SocketState) -> None:
        self._state = state
        self._client.state, self._server.state = state.client, state.server

    def open_turns(self) -> Iterator[Exchange]:
        """The turns that have not ended."""
        return (turn.exchange for turn in self._state.turns)

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
            state.turns[0].add_answer(cut, self._head, closed.post_processing_ns)
        elif cut is not None:
            state.rest.keep(cut, from_client=False)
        unsent = self._client.finish(t_ns)
        if unsent is not None:
            state.rest.keep(unsent, from_client=True)
        outcome, detail = self._cut_outcome(closed)
        out: list[Assembled] = [ExchangeEnded(turn.end(closed.t_ns, outcome, detail)) for turn in state.turns]
        state.turns.clear()
        if state.rest.size_bytes or state.count == 0:
            out += self._rest_exchange(closed.t_ns, closed)
        return out

    def _settle_sent(self, pre_ns: int) -> None:
        for turn in self._state.turns:
            turn.settle_sent(pre_ns)

    def _cut_outcome(self, closed: ExchangeClosed) -> tuple[Outcome, str | None]:
        """How the connection's end ends a turn."""
        if closed.outcome != "completed":
            return closed.outcome, closed.detail
        is_provider = self._state.ended_first == "provider"
        side = "the provider" if is_provider else "the client"
        how = "" if self._state.closing is None else f": {self._state.closing}"
        return "upstream_cut" if is_provider else "client_cancelled", f"{side} closed the WebSocket{how}"

    # ---- messages -------------------------------------------------------------------------------------------

    def _from_client(self, message: Message, chunk: UpgradeChunk) -> list[Assembled]:
        if self._is_control(message, "client"):
            return []
        state = self._state
        said = read_said(message.data) if self._is_responses and message.kind == "text" else Said()
        if said.type == "response.create":
            # What steers the response before is put in front of this input by the provider.
            state.steering.pop(said.previous_response_id or "", None)
            turn = self._begun([message.data], [message.t_ns], message, said, chunk.pre_processing_ns)
            state.turns.append(turn)
            return [RequestReceived(turn.exchange)]
        if said.type == "response.steer" and said.previous_response_id is not None:
            state.steering.setdefault(said.previous_response_id, []).append(message.data)
        state.rest.keep(message, from_client=True)
        return []

    def _from_provider(self, message: Message, chunk: UpgradeChunk) -> list[Assembled]:
        if self._is_control(message, "provider"):
            return []
        state = self._state
        if not self._is_responses or message.kind != "text":
            state.rest.keep(message, from_client=False)
            return []
        said = read_said(message.data)
        turn = self._turn_of(said)
        out: list[Assembled] = []
        if said.type == BEGINS and self._is_successor(turn, said):
            turn = self._begun_by_provider(message, said, chunk)
            out.append(RequestReceived(turn.exchange))
        if turn is None:
            state.rest.keep(message, from_client=False)
            return out
        turn.add_answer(message, self._head, chunk.post_processing_ns)
        if said.response_id is not None:
            state.last_response_id = turn.response_id = said.response_id
        if said.type in ENDS or said.type == "error":
            state.turns.remove(turn)
            if turn.response_id is not None:
                state.ended_responses[turn.lane or ""] = turn.response_id
            out.append(ExchangeEnded(turn.end(message.t_ns, "completed", None)))
        return out

    def _is_control(self, message: Message, side: str) -> bool:
        """Whether it is a control frame; the first close frame says who ends the connection, and why."""
        if message.kind == "close" and self._state.ended_first is None:
            self._state.ended_first = side
            self._state.closing = close_reason(message.data)
        return message.kind in ("close", "ping", "pong")

    # ---- turns ----------------------------------------------------------------------------------------------

    def _turn_of(self, said: Said) -> Turn | None:
        """The turn that a message of the provider belongs to: the first one open in its lane."""
        turns = self._state.turns
        if said.response_id is not None and said.response_id == self._state.ended_responses.get(said.lane or ""):
            return None  # an afterthought to one that has ended: `response.failed` after `error`
        for turn in turns:
            if turn.lane == said.lane:
                return turn
        # Not every provider repeats the lane; where there is only one turn, there is no doubt.
        return turns[0] if said.lane is None and len(turns) == 1 else None

    def _is_successor(self, turn: Turn | None, said: Said) -> bool:
        """Whether the provider begins this response by itself, to go on from one that was steered."""
        if turn is None:
            return said.lane is not None or not self._state.turns
        previous_id = said.previous_response_id
        return previous_id in self._state.steering and turn.previous_response_id != previous_id

    def _begun_by_provider(self, message: Message, said: Said, chunk: UpgradeChunk) -> Turn:
        """Its request are the messages that steered the response before it."""
        state = self._state
        steering = state.steering.pop(said.previous_response_id or "", [])
        for data in steering:
            state.rest.give_up(data)
        turn = self._begun(steering, [message.started_ns] * len(steering), message, said, chunk.pre_processing_ns)
        turn.is_sent, turn.pre_ns = True, 0
        state.turns.insert(0, turn)  # it comes before what waits in its lane
        return turn

    def _begun(self, request: list[bytes], request_ns: list[int], message: Message, said: Said, pre_ns: int) -> Turn:
        started_pre_ns = self._state.started_pre_ns
        exchange = self._new_exchange(message.started_ns, is_turn=True, lane=said.lane, request_ns=request_ns)
        exchange.request_chunks = request if len(request) <= 1 else [data + b"\n" for data in request]
        exchange.request_ended_ns = message.t_ns
        exchange.pre_processing_ns = max(0, pre_ns - started_pre_ns)
        return Turn(exchange, said.previous_response_id, started_pre_ns, message.started_ns)

    def _new_exchange(self, t_ns: int, *, is_turn: bool, lane: str | None, request_ns: list[int]) -> Exchange:
        """Known in full from the client's side; its request_id is a function of the connection's."""
        state, opened = self._state, self._handshake.opened
        wall_ns = opened.wall_ns + (t_ns - opened.t_ns)
        request_id = derived_uuid7(wall_ns // 1_000_000, opened.request_id, str(state.count))
        part = SocketPart(
            connection_id=opened.request_id,
            index=state.count,
            is_turn=is_turn,
            stream_id=lane,
            request_ns=request_ns,
            after_response_id=None if is_turn else state.last_response_id,
        )
        state.count += 1
        opened = msgspec.structs.replace(opened, t_ns=t_ns, wall_ns=wall_ns, request_id=request_id)
        return Exchange(key=self._handshake.key, opened=opened, is_request_complete=True, socket=part)

    # ---- the rest -------------------------------------------------------------------------------------------

    def _flushed_rest(self, t_ns: int) -> list[Assembled]:
        if self._state.rest.size_bytes < MAX_REST_BYTES:
            return []
        self._state.steering.clear()
        number = self._handshake.opened.exchange
        return self._rest_exchange(t_ns, ExchangeClosed(number, t_ns, "completed", None, None, 0, 0))

    def _rest_exchange(self, t_ns: int, closed: ExchangeClosed) -> list[Assembled]:
        """What belongs to no turn, as an exchange. It has no latency: nothing in it answers anything."""
        state = self._state
        is_first = state.count == 0
        rest, state.rest = state.rest, Rest()
        opened_ns = self._handshake.opened.t_ns if is_first else rest.opened_ns or t_ns
        exchange = self._new_exchange(opened_ns, is_turn=False, lane=None, request_ns=rest.request_ns)
        if is_first:
            exchange.opened = self._handshake.opened
        exchange.request_chunks, exchange.response_chunks = rest.request, rest.response
        exchange.request_ended_ns = rest.request_ns[-1] if rest.request_ns else opened_ns
        exchange.pre_processing_ns = 0
        head_ns = max(self._head.t_ns, opened_ns)
        lines = self._head.header_lines if is_first else b""
        exchange.response = msgspec.structs.replace(self._head, t_ns=head_ns, header_lines=lines)
        pre_ns, post_ns = (closed.pre_processing_ns, closed.post_processing_ns) if is_first else (0, 0)
        exchange.closed = msgspec.structs.replace(
            closed, sent_ns=None, pre_processing_ns=pre_ns, post_processing_ns=post_ns
        )
        return [RequestReceived(exchange), ExchangeEnded(exchange)]
