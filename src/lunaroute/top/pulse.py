"""[pure] How fast tokens come and money goes, from what is in flight and what was recorded.

In: updates of the live socket, recorded responses, and the time. Out: rates over the last seconds. What a response cost
in the end replaces what was estimated of it while it streamed, so the sum over a while is what its responses cost.
"""

from __future__ import annotations

from collections import deque

import msgspec

from lunaroute.live.wire import InFlight, Update

TOKENS_OVER_S = 5.0
SPEND_OVER_S = 60.0
ERRORS_OVER_S = 300.0
_TEXT_CHARS = 4000
"""Kept of the end of an answer."""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Of this moment."""

    in_flight: int
    tokens_per_second: float
    usd_per_hour: float
    errors: int
    """Failed responses of the last five minutes."""


class Pulse:
    """take(update)*, recorded(…)*, figures(now)*. Times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self.flights: dict[str, InFlight] = {}
        self.texts: dict[str, str] = {}
        """Exchange → the end of what it says."""
        self._tokens: deque[tuple[float, float]] = deque()
        self._usd: deque[tuple[float, float]] = deque()
        self._errors: deque[tuple[float, float]] = deque()
        self._estimated_usd: dict[str, float] = {}
        """Exchange → what was counted of its cost while it streamed."""

    def take(self, update: Update | None, now_s: float) -> None:
        """None = the recorder is gone, and with it what was in flight."""
        if update is None:
            self.flights.clear()
            self.texts.clear()
            return
        for change in update.exchanges:
            self._take(change, now_s)
        for request_id in update.ended:
            self.flights.pop(request_id, None)
            self.texts.pop(request_id, None)

    def recorded(self, request_id: str, cost_usd: float | None, success: bool, now_s: float) -> None:
        """A response has ended."""
        estimated = self._estimated_usd.pop(request_id, 0.0)
        if cost_usd is not None:
            self._usd.append((now_s, cost_usd - estimated))
        if not success:
            self._errors.append((now_s, 1))

    def figures(self, now_s: float) -> Figures:
        return Figures(
            in_flight=len(self.flights),
            tokens_per_second=_sum_since(self._tokens, now_s - TOKENS_OVER_S) / TOKENS_OVER_S,
            usd_per_hour=max(0.0, _sum_since(self._usd, now_s - SPEND_OVER_S) * 3600 / SPEND_OVER_S),
            errors=round(_sum_since(self._errors, now_s - ERRORS_OVER_S)),
        )

    def _take(self, change: InFlight, now_s: float) -> None:
        request_id = change.request_id
        before = self.flights.get(request_id)
        if before is not None:
            # The first word on an exchange tells of all that was before, which is not of this moment.
            self._tokens.append((now_s, max(0, change.output_tokens - before.output_tokens)))
        cost, counted = change.cost_usd or 0.0, self._estimated_usd.get(request_id, 0.0)
        if cost > counted:
            self._usd.append((now_s, cost - counted))
            self._estimated_usd[request_id] = cost
        said = "".join(delta.text for delta in change.deltas)
        self.texts[request_id] = (self.texts.get(request_id, "") + said)[-_TEXT_CHARS:]
        self.flights[request_id] = msgspec.structs.replace(change, deltas=[])


def _sum_since(values: deque[tuple[float, float]], since_s: float) -> float:
    while values and values[0][0] < since_s:
        values.popleft()
    return sum(value for _, value in values)
