"""The contract every sink keeps.

The recorder hands each sink the same events in the same order, in batches. After a crash it hands over again
whatever it cannot be sure of, as identical events (ids, seq, timestamps); a sink must not store them twice.
The natural key is (`session_id`, `seq`).
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

        Raises OSError or sqlite3.Error when nothing or only part could be stored; the same batch comes again."""

    def sync(self) -> None:
        """Make everything written so far survive a power loss."""

    def close(self) -> None:
        """Release all resources; must be safe after a failed open."""
