"""The contract every sink keeps; `lunaroute.testing.sink_contract` is the same as tests.

A sink is handed events in batches, those of a session in their order. After a crash it is handed again whatever nobody
can be sure of, as identical events (ids, seq, timestamps); a sink must not store them twice. The natural key is
(`session_id`, `seq`). The recorder hands them to session files and index as they are made, the shipper to all other
sinks as they appear in the session files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from lunaroute.events.types import Event


class Sink(Protocol):
    """open → write_batch* → close. One thread at a time."""

    name: str

    def open(self) -> None:
        """Make ready: create, migrate, repair a torn tail. Raises LunarouteError with one clear line."""

    def write_batch(self, events: Sequence[Event]) -> None:
        """Store the events. On return they survive a kill -9 of any process. Idempotent.

        Raises when nothing or only part could be stored (session files and index: OSError or sqlite3.Error); the same
        batch comes again. An event that can never be stored must not raise: it would hold up all that come after it."""

    def sync(self) -> None:
        """Make everything written so far survive a power loss."""

    def close(self) -> None:
        """Release all resources; must be safe after a failed open."""
