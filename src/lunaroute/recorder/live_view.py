"""[io] What the recorder shows of its work while somebody watches: one turn of this after each of its steps."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from lunaroute.live.bus import LOOK_EVERY_S, LiveBus
from lunaroute.pricing import Pricer

from .in_flight import InFlightReader
from .recorder import Recorder


class LiveView:
    """tell()* → close(). A socket that cannot be had is a line in the log: recording comes first."""

    def __init__(
        self, path: Path, recorder: Recorder, own_prices: Mapping[str, Mapping[str, float]], *, is_withheld: bool
    ) -> None:
        self._recorder = recorder
        self._reader = InFlightReader(Pricer(own_prices), is_withheld=is_withheld)
        self._bus = LiveBus(path)
        try:
            self._bus.open()
        except OSError as error:
            print(f"lunaroute: no live view: {path}: {error}", file=sys.stderr, flush=True)

    def fds(self) -> Iterator[int]:
        """What to wait for beside everything else."""
        return self._bus.fds()

    def pause_s(self, usual_s: float) -> float:
        """How long to wait at most for something to record: no longer than a watcher would notice."""
        return min(usual_s, LOOK_EVERY_S) if self._bus.is_watched else usual_s

    def tell(self) -> None:
        """Tell those who watch what is new, if it is time."""
        if self._bus.is_due():
            if self._bus.wants_exchanges:
                self._reader.look(self._recorder.open_exchanges())
            else:
                self._reader.forget()
            self._bus.send(self._reader.flights, self._recorder.feed.end)
        elif not self._bus.is_watched:
            self._reader.forget()

    def close(self) -> None:
        self._bus.close()
