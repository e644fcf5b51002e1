"""Messages of a WebSocket that belong to no turn, until they are an exchange of their own."""

from __future__ import annotations

import msgspec

from .turn import as_line
from .websocket import Message


class Rest(msgspec.Struct):
    """Grows message by message; storable as MessagePack."""

    opened_ns: int = 0
    """Arrival of the first."""
    request: list[bytes] = []
    request_ns: list[int] = []
    response: list[tuple[int, bytes]] = []
    size_bytes: int = 0

    def keep(self, message: Message, from_client: bool) -> None:
        if not self.size_bytes:
            self.opened_ns = message.started_ns
        data = as_line(message)
        self.size_bytes += len(data)
        if from_client:
            self.request.append(data)
            self.request_ns.append(message.t_ns)
        else:
            self.response.append((message.t_ns, data))

    def give_up(self, payload: bytes) -> None:
        """A kept message of the client has found its turn."""
        data = payload + b"\n"
        if data in self.request:
            at = self.request.index(data)
            del self.request[at], self.request_ns[at]
            self.size_bytes -= len(data)
