"""Watching a server's `/api/v1/events`, and asking through its relay meanwhile."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from typing import Any

import msgspec

from lunaroute.supervisor.instance import ServerInfo
from tests.support.server import wait_until

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
LONG_MS = 600_000
"""Longer than any test lasts: the provider is in the middle of its answer for as long as the test wants."""


class Told(msgspec.Struct, frozen=True):
    """A message of the stream."""

    event: str
    data: dict[str, Any]
    id: str


class Watcher:
    """One connection to `/api/v1/events`, read in a thread of its own."""

    def __init__(self, ui_port: int, query: str = "", last_id: str = "") -> None:
        headers = {"last-event-id": last_id} if last_id else {}
        request = urllib.request.Request(f"http://127.0.0.1:{ui_port}/api/v1/events?{query}", headers=headers)
        self._answer = _DIRECT.open(request, timeout=60)
        self.told: list[Told] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._thread.join(30)
        self._answer.close()

    def cut(self) -> None:
        """The connection breaks."""
        self._answer.fp.raw._sock.shutdown(2)
        self.close()

    def wait(self, event: str, **fields: object) -> Told:
        """The first message of this kind with these fields."""

        def find() -> Told | None:
            return next(
                (one for one in list(self.told) if one.event == event and fields.items() <= one.data.items()), None
            )

        wait_until(find)
        found = find()
        assert found is not None
        return found

    def text(self, request_id: str) -> str:
        """What the exchange has said while it was in flight."""
        own = [one for one in list(self.told) if one.event == "in_flight" and one.data["request_id"] == request_id]
        deltas = [delta for one in own for delta in one.data.get("deltas", [])]
        return "".join(delta.get("text", "") for delta in deltas if delta["kind"] == "text")

    def _read(self) -> None:
        fields: dict[str, str] = {}
        try:
            for raw in self._answer:
                name, _, value = raw.decode().rstrip("\n").partition(": ")
                if name:
                    fields[name] = value
                elif "data" in fields:
                    self.told.append(Told(fields["event"], json.loads(fields["data"]), fields.get("id", "")))
                    fields = {}
        except (OSError, ValueError, AttributeError):
            return


@contextmanager
def asking(info: ServerInfo, text: str, directives: str = "") -> Iterator[threading.Thread]:
    """A streaming request in a thread that ends with its answer, or when the block does."""
    body = {"model": "claude-opus-4-5", "max_tokens": 1000, "stream": True}
    body["messages"] = [{"role": "user", "content": text}]
    headers = {"x-api-key": "k", "anthropic-version": "2023-06-01"} | ({"x-simulate": directives} if directives else {})
    request = urllib.request.Request(
        f"http://127.0.0.1:{info.port}/v1/messages", json.dumps(body).encode(), headers | {"content-type": "x/json"}
    )
    answer = _DIRECT.open(request, timeout=600)

    def read() -> None:
        with suppress(OSError, HTTPException):
            answer.read()

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    yield thread
    if thread.is_alive():
        answer.fp.raw._sock.shutdown(2)
    thread.join(30)
    answer.close()
