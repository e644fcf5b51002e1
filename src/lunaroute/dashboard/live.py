"""What a page of the dashboard is told while it is open: that the index has changed, and what is in flight.

A change says no more than that there is something new; what a page shows of it, it asks for itself. Of exchanges in
flight every page gets the numbers, and the page of a session the texts of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from lunaroute.live.catch_up import CatchUp, Flight

from .events import SIGN_OF_LIFE_S, as_server_sent, messages_of
from .hub import Hub, HubFlight, without_texts

_RETRY_MS = 1000
_PAGE_EVERY_S = 0.05
"""Between two updates of a page: twenty a second look like one movement."""


class Live:
    """For any number of pages."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def events(self, session_id: str | None = None, tenant: str | None = None) -> AsyncIterator[bytes]:
        """The stream of one page, which may be for the eyes of one tenant only. The first event comes at once: whatever
        happened before is to be looked at."""
        catch_up, told = CatchUp(), ""
        with self._hub.listening() as changed:
            await self._hub.look_now()
            yield f"retry: {_RETRY_MS}\n\n".encode()
            heard_at = time.monotonic()
            while not self._hub.is_closed:
                changed.clear()
                blocks = []
                state = f"{self._hub.changes}.{self._hub.extent.end}"
                if state != told:
                    told = state
                    blocks.append(f"event: change\ndata: {state}\n\n".encode())
                update = catch_up.update(self._flights(session_id, tenant), 0)
                blocks += [] if update is None else [as_server_sent(one) for one in messages_of(update)]
                now = time.monotonic()
                if not blocks and now - heard_at >= SIGN_OF_LIFE_S:
                    blocks = [as_server_sent(None)]
                if blocks:
                    heard_at = now
                    yield b"".join(blocks)
                    await asyncio.sleep(_PAGE_EVERY_S)
                try:
                    await asyncio.wait_for(changed.wait(), SIGN_OF_LIFE_S)
                except TimeoutError:
                    continue

    def _flights(self, session_id: str | None, tenant: str | None) -> dict[str, Flight]:
        flights = self._hub.flights
        if tenant is not None:
            flights = {one: flight for one, flight in flights.items() if self._tenant_of(flight) == tenant}
        own = {one: flight for one, flight in flights.items() if flight.summary().session_id == session_id}
        return {**without_texts(flights), **own}

    def _tenant_of(self, flight: HubFlight) -> str | None:
        started = self._hub.feed.beginning(flight.summary().session_id)
        return None if started is None else started.tenant
