"""[io] A request that a rule of the user's keeps from the provider (`blocks`): read to its end, on record, and refused.

Its body is waited for, so that its session can be told and nothing of it is lost; but not for long, as a client may
wait itself, for a `100 Continue`.
"""

from __future__ import annotations

from collections.abc import Sequence

from lunaroute.capture.ports import BodyBytes

from .exchange import RelayedExchange
from .limits import Refusal

_BODY_S = 0.5


class BlockedExchange(RelayedExchange):
    """Has no provider's side."""

    message = ""
    """What the client is told."""

    def send(self, pieces: Sequence[BodyBytes], t_ns: int, now_ns: int) -> None:
        """Not on to anybody."""
        self._waiting -= 1
        self._active_ns = now_ns
        self._pre_ns += now_ns - t_ns
        if self.request_is_done and self._waiting == 0:
            self._refuse_blocked(now_ns)

    def check_timeouts(self, now_ns: int) -> None:
        if now_ns - self._active_ns > _BODY_S * 1e9:
            self._refuse_blocked(now_ns)

    def _refuse_blocked(self, now_ns: int) -> None:
        self._refuse_beyond(Refusal(429, self.message, outcome="blocked"), now_ns)
