"""Builders for WebSocket connections: told as messages, in milliseconds, given as the relay's records.

script = SocketScript()
script.create("hello", at_ms=100)
script.answer("resp_1", "hi", at_ms=200)
script.end(from_client=True, at_ms=900)
script.records
"""

from __future__ import annotations

import json
from typing import Any

from lunaroute.assemble.assembler import Assembler
from lunaroute.assemble.exchange import Assembled, Exchange, ExchangeEnded, RequestReceived
from lunaroute.capture.ids import derived_uuid7
from lunaroute.capture.records import (
    ExchangeClosed,
    HeaderList,
    Outcome,
    Record,
    RelayStarted,
    RelayStopped,
    RequestChunk,
    RequestOpened,
    ResponseOpened,
    UpgradeChunk,
    join_headers,
)
from lunaroute.events import Event, decode_event, encode_event
from lunaroute.recorder.pipeline import Pipeline
from lunaroute.recorder.pipeline_state import PipelineSettings
from tests.exchanges import MS, START_MONO_NS, START_WALL_NS
from tests.support.frames import CLOSE, TEXT, Deflater, frame, message

UPGRADE: HeaderList = [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"), (b"Sec-WebSocket-Version", b"13")]
USAGE = {"input_tokens": 10, "output_tokens": 4, "total_tokens": 14}
OWN_NS = 50_000
"""Our own time on each read."""
STARTED = RelayStarted(START_MONO_NS - MS, START_WALL_NS - MS, "run-1", 1, "test")


class SocketScript:
    """One connection."""

    def __init__(
        self,
        number: int = 1,
        *,
        path: str = "/v1/responses",
        headers: HeaderList | None = None,
        opened_ms: int = 0,
        deflate: bool = False,
        lane: str = "w0",
        credential: str | None = "fp1",
    ) -> None:
        self.number = number
        self.request_id = derived_uuid7(START_WALL_NS // MS + opened_ms, lane, str(number))
        self._own_ns = {True: OWN_NS, False: OWN_NS}
        self._deflaters = {side: Deflater() for side in (True, False)} if deflate else {}
        agreed: HeaderList = [(b"Sec-WebSocket-Extensions", b"permessage-deflate")] if deflate else []
        opened = RequestOpened(
            exchange=number,
            t_ns=t_ns(opened_ms),
            wall_ns=START_WALL_NS + opened_ms * MS,
            request_id=self.request_id,
            listener="openai",
            provider="openai",
            method="GET",
            target=path,
            path=path,
            http_version="1.1",
            header_lines=join_headers([*UPGRADE, *(headers or [])]),
            client_ip="127.0.0.1",
            session_tags=[],
            credential=credential,
        )
        answer = join_headers([(b"Upgrade", b"websocket"), (b"x-request-id", b"req_ws"), *agreed])
        self.records: list[Record] = [
            opened,
            RequestChunk(number, t_ns(opened_ms), b"", OWN_NS),
            ResponseOpened(number, t_ns(opened_ms + 5), 101, "Switching Protocols", answer),
        ]

    # ---- bytes ----

    def raw(self, data: bytes, *, from_client: bool, at_ms: float) -> None:
        """One read."""
        pre_ns, post_ns = self._own_ns[True], self._own_ns[False]
        self.records.append(UpgradeChunk(self.number, t_ns(at_ms), data, from_client, pre_ns, post_ns))
        self._own_ns[from_client] += OWN_NS

    def says(self, payload: bytes, *, from_client: bool, at_ms: float, opcode: int = TEXT) -> None:
        """A message in one read."""
        self.raw(self.framed(payload, from_client=from_client, opcode=opcode), from_client=from_client, at_ms=at_ms)

    def framed(self, payload: bytes, *, from_client: bool, opcode: int = TEXT) -> bytes:
        deflater = self._deflaters.get(from_client)
        data = payload if deflater is None else deflater.deflate(payload)
        mask = b"\x01\x02\x03\x04" if from_client else b""
        return message(opcode, data, mask=mask, is_compressed=deflater is not None)

    # ---- the Responses protocol ----

    def create(self, text: str, *, at_ms: float, **fields: Any) -> bytes:
        """A `response.create`; gives its payload."""
        content = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}]
        payload = json.dumps({"type": "response.create", "model": "gpt-5", "input": content, **fields}).encode()
        self.says(payload, from_client=True, at_ms=at_ms)
        return payload

    def answer(self, response_id: str, text: str, *, at_ms: float, **lane: Any) -> list[bytes]:
        """A whole answer, a message each millisecond; gives their payloads."""
        payloads = [json.dumps({**event, **lane}).encode() for event in answer_events(response_id, text)]
        for number, payload in enumerate(payloads):
            self.says(payload, from_client=False, at_ms=at_ms + number)
        return payloads

    def event(self, event: dict[str, Any], *, at_ms: float) -> None:
        self.says(json.dumps(event).encode(), from_client=False, at_ms=at_ms)

    # ---- ends ----

    def close_frame(self, code: int, reason: str = "", *, from_client: bool, at_ms: float) -> None:
        payload = code.to_bytes(2, "big") + reason.encode()
        mask = b"\x01\x02\x03\x04" if from_client else b""
        self.raw(frame(CLOSE, payload, mask=mask), from_client=from_client, at_ms=at_ms)

    def end(self, *, from_client: bool, at_ms: float) -> None:
        """This side has finished sending, then the other; the connection is over."""
        self.raw(b"", from_client=from_client, at_ms=at_ms)
        self.raw(b"", from_client=not from_client, at_ms=at_ms)
        self.close(at_ms=at_ms + 1)

    def close(self, *, at_ms: float, outcome: Outcome = "completed", detail: str | None = None) -> None:
        sent_ns = self.records[0].t_ns + OWN_NS
        pre_ns, post_ns = self._own_ns[True], self._own_ns[False]
        self.records.append(ExchangeClosed(self.number, t_ns(at_ms), outcome, detail, sent_ns, pre_ns, post_ns))


def t_ns(at_ms: float) -> int:
    return START_MONO_NS + int(at_ms * MS)


def answer_events(response_id: str, text: str, previous_id: str | None = None) -> list[dict[str, Any]]:
    response = {"id": response_id, "object": "response", "model": "gpt-5-2026", "previous_response_id": previous_id}
    part = {"type": "output_text", "text": text, "annotations": []}
    item = {"id": f"msg_{response_id}", "type": "message", "role": "assistant", "content": [part]}
    opened = {**item, "content": []}
    done = {**response, "status": "completed", "output": [item], "usage": USAGE}
    begun = {**response, "status": "in_progress", "output": []}
    place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    return [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": opened},
        {"type": "response.output_text.delta", **place, "delta": text},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": done},
    ]


def assembled(records: list[Record]) -> list[Assembled]:
    """What a fresh assembler gives out for one lane's records."""
    assembler = Assembler()
    return [item for record in [STARTED, *records] for item in assembler.feed("w0", record)][1:]


def recorded(*scripts: SocketScript) -> list[Event]:
    """The events of a run with these sockets and nothing else, as a reader of the files gets them."""
    records = sorted((record for script in scripts for record in script.records), key=lambda record: record.t_ns)
    stopped = RelayStopped(t_ns(10_000_000), START_WALL_NS + 10_000_000 * MS)
    pipeline = Pipeline(PipelineSettings())
    events = [event for item in assembled([*records, stopped]) for event in pipeline.feed(item)]
    assert [poison.reason for poison in pipeline.take_poisoned()] == []
    return [decode_event(encode_event(event)) for event in events]


def received(items: list[Assembled]) -> list[Exchange]:
    return [item.exchange for item in items if isinstance(item, RequestReceived)]


def ended(items: list[Assembled]) -> list[Exchange]:
    return [item.exchange for item in items if isinstance(item, ExchangeEnded)]
