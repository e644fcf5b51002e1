"""[io] One turn of the event loop: what it put on record is flushed once, then everything goes on.

The guarantee is the order: nothing is written to either side before the record of it is in the kernel's hands. Under
load a turn serves many connections, and one write to the spool serves them all; with one connection a turn is one
event, and nothing waits. Whoever does anything else to a connection than `pass_on_later` (close it, answer by itself)
calls `pass_on` first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from lunaroute.capture.ports import BodyBytes

from .tap import Tap

if TYPE_CHECKING:
    from .exchange import RelayedExchange


class Turn:
    """One per relay process."""

    def __init__(self, tap: Tap, call_soon: Callable[[Callable[[], None]], object]) -> None:
        self._tap = tap
        self._call_soon = call_soon
        self._waiting: list[tuple[RelayedExchange, bool, Sequence[BodyBytes], int]] = []

    def pass_on_later(
        self, exchange: RelayedExchange, is_request: bool, pieces: Sequence[BodyBytes], t_ns: int
    ) -> None:
        """`pieces`, on record since they arrived at `t_ns`, to the provider (`is_request`) or to the client."""
        if not self._waiting:
            self._call_soon(self.pass_on)
        self._waiting.append((exchange, is_request, pieces, t_ns))

    def pass_on(self) -> None:
        """Flush, and hand over all that waits, in order."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        self._tap.flush()
        now_ns = time.monotonic_ns()
        done = 0
        try:
            for exchange, is_request, pieces, t_ns in waiting:
                done += 1
                if is_request:
                    exchange.send(pieces, t_ns, now_ns)
                else:
                    exchange.answer(pieces, t_ns, now_ns)
        finally:
            if done < len(waiting):  # one connection's failure is not the others'
                self._waiting = waiting[done:] + self._waiting
                self._call_soon(self.pass_on)
