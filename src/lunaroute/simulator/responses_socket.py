"""The Responses API over a WebSocket: each `response.create` answered by the events that a stream would have.

In: an accepted socket. Out: messages, and a ledger entry for each turn, whose hashes are of the bodies as a recording
has them (the request's payload; the response's payloads, each followed by a line feed). Creates of one lane
(`stream_id`) are answered in their order, different lanes side by side. Unlike over HTTP, what is not to be stored can
be continued all the same, as long as the simulator lives.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
import struct
from typing import Any

import msgspec

from lunaroute.simulator.failures import gap_index
from lunaroute.simulator.http import RequestHead
from lunaroute.simulator.ledger import Ledger, LedgerEntry
from lunaroute.simulator.provider import Answer, Provider
from lunaroute.simulator.websocket import WebSocket

_OWN_FIELDS = ("type", "stream_id", "store")
_SIMULATE = "x-simulate"


class ResponsesSocket:
    """Serves one connection."""

    def __init__(
        self,
        head: RequestHead,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        provider: Provider,
        ledger: Ledger,
        delay_factor: float,
    ) -> None:
        self._socket = WebSocket(head, reader, writer)
        self._writer = writer
        self._provider = provider
        self._ledger = ledger
        self._delay_factor = delay_factor
        self._raw_head = head.raw
        # To the provider each turn is a POST; directives in the handshake's headers were the handshake's.
        headers = [(name, value) for name, value in head.headers if name.lower() != _SIMULATE]
        self._head = msgspec.structs.replace(head, method="POST", headers=headers)
        self._lanes: dict[str | None, asyncio.Lock] = {}

    async def serve(self, entry: LedgerEntry) -> None:
        """Until either side ends it; `entry` is the handshake's."""
        entry.status, entry.response_headers = 101, self._socket.accept()
        entry.outcome = "completed"
        turns: set[asyncio.Task[None]] = set()
        try:
            while (payload := await self._socket.receive()) is not None:
                task = asyncio.create_task(self._turn(payload))
                turns.add(task)
                task.add_done_callback(turns.discard)
        finally:
            for task in turns:
                task.cancel()
            await asyncio.gather(*turns, return_exceptions=True)

    async def _turn(self, payload: bytes) -> None:
        event = _object(payload)
        lane = event.get("stream_id")
        echo = {} if lane is None else {"stream_id": lane}
        if event.get("type") != "response.create":
            await self._socket.send(_error(400, f"unsupported event {event.get('type')!r}", echo))
            return
        async with self._lanes.setdefault(lane, asyncio.Lock()):
            entry = self._ledger.open("GET", self._head.target, self._head.headers, self._raw_head)
            entry.request_sha256, entry.request_bytes = hashlib.sha256(payload).hexdigest(), len(payload)
            body = {key: value for key, value in event.items() if key not in _OWN_FIELDS} | {"stream": True}
            answer = self._provider.answer(self._head, msgspec.json.encode(body), entry)
            entry.is_stream = True
            served = _Served(answer, entry)
            try:
                await asyncio.sleep(answer.directives.slow_first_byte_ms / 1000)
                gap = gap_index(answer.steps, answer.directives)
                for number, (delay_ms, data) in enumerate(_messages(answer, echo)):
                    if number == gap:
                        await asyncio.sleep(answer.directives.silent_gap_ms / 1000)
                    await asyncio.sleep(delay_ms / 1000 * self._delay_factor)
                    if not await self._send(data, served):
                        return
                entry.outcome = "completed"
            finally:
                served.close()

    async def _send(self, data: bytes, served: _Served) -> bool:
        """False: this is where the answer is to break off."""
        directives = served.answer.directives
        end_bytes = served.size_bytes + len(data)
        if directives.drop or (directives.cut_after is not None and end_bytes > directives.cut_after):
            served.entry.outcome = "cut"
            if directives.reset:
                connection = self._writer.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._socket.abort()
            return False
        if directives.end_after is not None and end_bytes > directives.end_after:
            served.entry.outcome = "cut"
            self._socket.close(1011, "ended as asked")
            self._socket.abort()
            return False
        try:
            await self._socket.send(data)
        except ConnectionError:
            served.entry.outcome = "client_gone"
            return False
        served.add(data)
        return True


class _Served:
    """What was sent of one answer; tells the ledger."""

    def __init__(self, answer: Answer, entry: LedgerEntry) -> None:
        self.answer = answer
        self.entry = entry
        self.size_bytes = 0
        self._digest = hashlib.sha256()

    def add(self, data: bytes) -> None:
        self.entry.status = 101
        self._digest.update(data + b"\n")
        self.size_bytes += len(data) + 1

    def close(self) -> None:
        entry = self.entry
        entry.response_sha256, entry.response_bytes = self._digest.hexdigest(), self.size_bytes
        if entry.outcome == "open":
            entry.outcome = "client_gone"
        is_whole = entry.outcome == "completed" and self.answer.directives.error_event_after is None
        entry.is_usage_served = entry.is_usage_served and is_whole


def _messages(answer: Answer, echo: dict[str, Any]) -> list[tuple[float, bytes]]:
    """(pause before it, payload) of each message of an answer."""
    if not answer.is_stream:
        (error,) = [_object(step.data) for step in answer.steps]
        return [(0.0, msgspec.json.encode({"type": "error", "status": answer.status, **error, **echo}))]
    found = []
    for step in answer.steps:
        _, _, data = step.data.partition(b"data: ")
        payload = data.rstrip(b"\n")
        found.append((step.delay_ms, msgspec.json.encode(_object(payload) | echo) if echo else payload))
    return found


def _error(status: int, message: str, echo: dict[str, Any]) -> bytes:
    error = {"type": "invalid_request_error", "message": message}
    return msgspec.json.encode({"type": "error", "status": status, "error": error, **echo})


def _object(payload: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(payload)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
