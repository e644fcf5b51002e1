"""The port between relay and spool, which do not know each other: what the relay tells a spool writer."""

from __future__ import annotations

from typing import Protocol

from .records import Opening, Outcome, Record, RecordsLost

BodyBytes = bytes | memoryview
"""Part of a body, never changed again: a view where a copy would cost something."""


class RecordSink(Protocol):
    """Takes records: one method for each of the hot path (fields as in capture.records), so that nothing is built
    only to be taken apart again. They never raise."""

    def request_opened(
        self,
        exchange: int,
        t_ns: int,
        wall_ns: int,
        request_id: bytes,
        length: int,
        client_ip: bytes,
        opening: bytes,
        body: BodyBytes,
        pre_ns: int | None,
    ) -> None: ...

    def request_chunk(self, exchange: int, t_ns: int, data: BodyBytes, pre_ns: int | None) -> None: ...

    def response_opened(self, exchange: int, t_ns: int, status_code: int, head: bytes, body: bytes) -> None: ...

    def response_chunk(self, exchange: int, t_ns: int, data: bytes) -> None: ...

    def upgrade_chunk(
        self, exchange: int, t_ns: int, data: bytes, from_client: bool, pre_ns: int, post_ns: int
    ) -> None: ...

    def exchange_closed(
        self,
        exchange: int,
        t_ns: int,
        outcome: Outcome,
        detail: str | None,
        sent_ns: int | None,
        pre_ns: int,
        post_ns: int,
    ) -> None: ...


class RecordWriter(RecordSink, Protocol):
    """Queues records until `flush`. These methods raise OSError when the disk refuses."""

    def opening(self, opening: Opening) -> bytes: ...

    def put(self, record: Record) -> None: ...

    def flush(self) -> None: ...

    def sync(self) -> None: ...

    def reopen(self) -> None: ...

    def note_lost(self, lost: RecordsLost) -> None:
        """Keep in mind what is lost so far, whatever becomes of the process; never raises."""

    def forget_lost(self) -> None:
        """It is on record, or over."""
