"""One sink's thread: looks for what is new, hands it over until the sink has it, remembers how far it got.

What a sink raises is said, and tried again, ever more slowly; other sinks, and recording, go on.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from lunaroute.config import SinkConfig
from lunaroute.sinks.base import Sink
from lunaroute.sinks.plugin import SinkSurroundings, make_sink

from .growth import Batch, Growth
from .positions import Positions

T = TypeVar("T")
_LOOK_S = 0.3
_LOOK_SHARE = 0.05
"""Looking takes at most this part of the time, however many files there are."""
_ALL_DAYS_S = 600.0
_RETRY_S = (0.2, 0.5, 1.0, 2.0, 5.0)
"""A store that is back is noticed soon, after however long."""
_NOTICE_S = 60.0


class DeliveryInfo(msgspec.Struct, kw_only=True):
    """How a sink does, as of `shipping.json`."""

    shipped_events: int = 0
    """Since the process started; likewise the others."""
    failures: int = 0
    """Attempts at opening it, or at a batch, that failed."""
    is_failing: bool = False
    """The latest attempt failed."""
    last_error: str | None = None
    shipped_at: float | None = None
    """Unix seconds of the latest batch."""


class Delivery(threading.Thread):
    """Runs until `stop`, and then for what is there already."""

    def __init__(
        self, wanted: SinkConfig, surroundings: SinkSurroundings, positions_file: Path, stop: threading.Event
    ) -> None:
        super().__init__(name=f"sink {surroundings.name}", daemon=True)
        self.info = DeliveryInfo()
        self._wanted = wanted
        self._surroundings = surroundings
        self._positions_file = positions_file
        self._stop_asked = stop
        self._notice_at_s = 0.0

    def run(self) -> None:
        self._insist(self._work)

    def _work(self) -> bool:
        sink = make_sink(self._wanted, self._surroundings)
        try:
            sink.open()
            self._ship(sink)
        finally:
            sink.close()
        return True

    def _ship(self, sink: Sink) -> None:
        positions = Positions(self._positions_file)
        try:
            growth = Growth(self._surroundings.sessions_dir, positions)
            if positions.is_new and not self._wanted.backfill:
                growth.pass_over()
            all_days_at_s = 0.0
            is_last = False
            while not is_last:
                is_last = self._stop_asked.is_set()
                began_s = time.monotonic()
                of_all_days = began_s >= all_days_at_s
                if of_all_days:
                    all_days_at_s = began_s + _ALL_DAYS_S
                has_shipped = self._look(sink, growth, positions, of_all_days=of_all_days)
                if not has_shipped and not is_last:
                    self._stop_asked.wait(max(_LOOK_S, (time.monotonic() - began_s) / _LOOK_SHARE))
        finally:
            positions.close()

    def _look(self, sink: Sink, growth: Growth, positions: Positions, *, of_all_days: bool) -> bool:
        """Whether there was something."""
        has_shipped = False
        for batch in growth.batches(of_all_days=of_all_days):
            if self._insist(lambda batch=batch: _store(sink, positions, batch)) is None:  # type: ignore[misc]
                return False
            self.info.shipped_events += len(batch.events)
            self.info.shipped_at = time.time()
            has_shipped = True
        return has_shipped

    def _insist(self, action: Callable[[], T]) -> T | None:
        """What it gives, in the end; None: told to stop while it fails."""
        attempt = 0
        while True:
            try:
                result = action()
            except Exception as error:  # a package of others may fail in any way
                self._failed(error)
                if self._stop_asked.wait(_RETRY_S[min(attempt, len(_RETRY_S) - 1)]):
                    return None
                attempt += 1
            else:
                self.info.is_failing = False
                return result

    def _failed(self, error: Exception) -> None:
        self.info.failures += 1
        self.info.is_failing = True
        self.info.last_error = f"{type(error).__name__}: {error}"
        if time.monotonic() >= self._notice_at_s:
            self._notice_at_s = time.monotonic() + _NOTICE_S
            name = self._surroundings.name
            print(f"lunaroute: sink {name}: {self.info.last_error}; trying again", file=sys.stderr, flush=True)


def _store(sink: Sink, positions: Positions, batch: Batch) -> bool:
    if batch.events:
        sink.write_batch(batch.events)
        sink.sync()
    positions.store(batch.reached)
    return True
