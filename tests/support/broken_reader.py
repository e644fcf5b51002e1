"""Readers of wire formats that have a bug."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import pytest

from lunaroute.assemble.sse_event import ServerSentEvent
from lunaroute.dialects import DialectReader, StreamReader, reading

Poison = Callable[[bytes], bool]


def break_readers(
    patch: pytest.MonkeyPatch,
    what: Literal["request", "response"],
    *,
    is_poison: Poison = lambda _: True,
    error: Exception | None = None,
) -> None:
    """From now on every reader of requests, or of responses, raises at a body (of a stream: at an event) that is
    poison."""
    for wire_format, reader in reading._READERS.items():
        broken = _BrokenReader(reader, what, is_poison, error or RuntimeError("a bug"))
        patch.setitem(reading._READERS, wire_format, broken)


class _BrokenReader:
    def __init__(self, reader: DialectReader, what: str, is_poison: Poison, error: Exception) -> None:
        self._reader = reader
        self._what = what
        self._is_poison = is_poison
        self._error = error
        self.read_answer = reader.read_answer

    def read_request(self, body: bytes) -> Any:
        self._check("request", body)
        return self._reader.read_request(body)

    def read_response(self, body: bytes, status_code: int) -> Any:
        self._check("response", body)
        return self._reader.read_response(body, status_code)

    def open_stream(self) -> StreamReader:
        self._check("response", b"")
        return _BrokenStream(self._reader.open_stream(), lambda data: self._check("response", data))

    def _check(self, what: str, data: bytes) -> None:
        if what == self._what and self._is_poison(data):
            raise self._error


class _BrokenStream:
    deltas = None

    def __init__(self, stream: StreamReader, check: Callable[[bytes], None]) -> None:
        self._stream = stream
        self._check = check
        self.so_far = stream.so_far
        self.finish = stream.finish

    def feed(self, event: ServerSentEvent) -> None:
        self._check(event.data)
        self._stream.feed(event)
