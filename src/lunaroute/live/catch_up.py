"""[pure] How far one watcher is behind what is in flight, and the update that brings it up to date.

Nothing is queued for a watcher: it has a place in each exchange's text, and what it did not take yet is still there.
One that is slow gets longer pieces, less often; what ends before it got there it finds in the feed. So what is kept for
it is bounded by the number of open exchanges, however slow it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

import msgspec

from lunaroute.dialects.loose import well_formed
from lunaroute.dialects.so_far import Part

from .wire import Delta, InFlight, Update

MAX_TEXT_CHARS = 256 * 1024
"""Of an exchange's text in one update; the rest comes with the next ones."""


class Flight(Protocol):
    """An exchange in flight, as the recorder has it."""

    version: int
    """Goes up with each change."""

    def summary(self) -> InFlight:
        """Without its texts."""

    def parts(self) -> list[Part]: ...


class _PartPlace(msgspec.Struct):
    pieces: int = 0
    chars: int = 0
    name: str | None = None


class _Place(msgspec.Struct):
    version: int = -1
    parts: dict[str, _PartPlace] = {}


class CatchUp:
    """One per watcher."""

    def __init__(self) -> None:
        self._places: dict[str, _Place] = {}
        self._feed_end = -1

    def update(self, flights: Mapping[str, Flight], feed_end: int) -> Update | None:
        """What the watcher lacks; None = nothing. What is given out counts as had."""
        ended = [request_id for request_id in self._places if request_id not in flights]
        for request_id in ended:
            del self._places[request_id]
        exchanges = [
            change for request_id, flight in flights.items() if (change := self._change(request_id, flight)) is not None
        ]
        if not ended and not exchanges and feed_end == self._feed_end:
            return None
        self._feed_end = feed_end
        return Update(feed_end=feed_end, exchanges=exchanges, ended=ended)

    def _change(self, request_id: str, flight: Flight) -> InFlight | None:
        place = self._places.get(request_id)
        if place is None:
            place = self._places[request_id] = _Place()
        if place.version == flight.version:
            return None
        deltas, is_all = _deltas(flight.parts(), place.parts)
        if is_all:
            place.version = flight.version
        return msgspec.structs.replace(flight.summary(), deltas=deltas)


def _deltas(parts: list[Part], places: dict[str, _PartPlace]) -> tuple[list[Delta], bool]:
    """(what the parts got longer by, whether that is all of it)."""
    found = []
    room = MAX_TEXT_CHARS
    for part in parts:
        place = places.get(part.key)
        is_new = place is None
        if place is None:
            place = places[part.key] = _PartPlace()
        pieces = list(_next_pieces(part, place.pieces, room))
        text = well_formed("".join(pieces))
        if text or is_new or part.name != place.name:
            found.append(Delta(key=part.key, kind=part.kind, name=part.name, at=place.chars, text=text))
        place.pieces += len(pieces)
        place.chars += len(text)
        place.name = part.name
        room -= len(text)
        if room <= 0:
            return found, False
    return found, True


def _next_pieces(part: Part, start: int, room: int) -> Iterator[str]:
    """Those not given out yet, as far as there is room. A last one that ends inside a surrogate pair waits for the
    next."""
    pieces = part.pieces
    end = len(pieces)
    while end > start and pieces[end - 1] and "\ud800" <= pieces[end - 1][-1] <= "\udbff":
        end -= 1
    for at in range(start, end):
        if room <= 0:
            return
        yield pieces[at]
        room -= len(pieces[at])
