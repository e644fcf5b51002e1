"""How a WebSocket's bytes are cut into reads changes no message, and no bytes make a reader raise or lose any.

The frames are made by another implementation (the `websockets` package), so nothing here agrees with itself only.
"""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode

from lunaroute.assemble.websocket import MessageReader

LENGTHS = [b"", b"a" * 125, b"b" * 126, b"c" * 70_000, b'{"type":"x"}' * 50]
ANY_PAYLOAD = st.binary(max_size=300) | st.sampled_from(LENGTHS)
CONTROL = st.tuples(st.sampled_from([Opcode.PING, Opcode.PONG]), st.binary(max_size=125))


class _Sent:
    """What one side sends: its messages, and the bytes another implementation makes of them."""

    def __init__(self, keeps_window: bool | None, is_masked: bool) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self.data = b""
        self._is_masked = is_masked
        self._extensions = [] if keeps_window is None else [PerMessageDeflate(False, not keeps_window, 15, 15)]

    def _frame(self, opcode: Opcode, data: bytes, is_final: bool) -> None:
        self.data += Frame(opcode, data, fin=is_final).serialize(mask=self._is_masked, extensions=self._extensions)

    def control(self, opcode: Opcode, data: bytes) -> None:
        self._frame(opcode, data, True)
        self.messages.append(("ping" if opcode is Opcode.PING else "pong", data))

    def message(self, opcode: Opcode, payload: bytes, sizes: list[int], between: list[tuple[Opcode, bytes]]) -> None:
        pieces, rest = [], payload
        for size in sizes:
            pieces.append(rest[:size])
            rest = rest[size:]
        pieces.append(rest)
        for number, piece in enumerate(pieces):
            is_last = number == len(pieces) - 1
            self._frame(opcode if number == 0 else Opcode.CONT, piece, is_last)
            if not is_last:
                for kind, data in between:
                    self.control(kind, data)
        self.messages.append(("text" if opcode is Opcode.TEXT else "binary", payload))


@st.composite
def sent(draw: st.DrawFn) -> tuple[_Sent, bool | None]:
    keeps_window = draw(st.sampled_from([None, True, False]))
    side = _Sent(keeps_window, draw(st.booleans()))
    for _ in range(draw(st.integers(0, 5))):
        side.message(
            draw(st.sampled_from([Opcode.TEXT, Opcode.BINARY])),
            draw(ANY_PAYLOAD),
            draw(st.lists(st.integers(0, 200), max_size=3)),
            draw(st.lists(CONTROL, max_size=2)),
        )
    return side, keeps_window


def read(reader: MessageReader, data: bytes, places: list[int]) -> list[tuple[str, bytes]]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    found = [one for start, end in pairwise(edges) for one in reader.feed(data[start:end], start)]
    whole: list[tuple[str, bytes]] = []
    for one in found:
        if one.kind == "unread" and whole and whole[-1][0] == "unread":
            whole[-1] = ("unread", whole[-1][1] + one.data)  # bytes that are no messages have no bounds
        else:
            whole.append((one.kind, one.data))
    return whole


@settings(deadline=None, max_examples=150)
@given(sent(), st.lists(st.integers(0, 10**6), max_size=20))
def test_any_split_gives_the_messages_that_were_sent(what: tuple[_Sent, bool | None], places: list[int]) -> None:
    side, keeps_window = what
    reader = MessageReader(keeps_window)
    assert read(reader, side.data, places) == side.messages
    assert reader.error is None
    assert reader.finish(0) is None


@pytest.mark.parametrize("keeps_window", [None, True, False])
def test_every_single_split_of_a_stream_changes_nothing(keeps_window: bool | None) -> None:
    side = _Sent(keeps_window, is_masked=True)
    side.message(Opcode.TEXT, b'{"type":"response.create","input":"%s"}' % (b"words " * 40), [9, 0], [])
    side.control(Opcode.PING, b"between")
    side.message(Opcode.BINARY, bytes(range(256)), [100], [(Opcode.PONG, b""), (Opcode.PING, b"inside")])
    side.message(Opcode.TEXT, b"", [], [])
    for place in range(len(side.data)):
        assert read(MessageReader(keeps_window), side.data, [place]) == side.messages
    assert read(MessageReader(keeps_window), side.data, list(range(len(side.data)))) == side.messages


@settings(deadline=None, max_examples=300)
@given(
    sent(),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), max_size=4),
    st.binary(max_size=40),
    st.lists(st.integers(0, 10**6), max_size=8),
)
def test_damaged_streams_read_the_same_in_any_split_and_nothing_raises(
    what: tuple[_Sent, bool | None], changes: list[tuple[int, int]], more: bytes, places: list[int]
) -> None:
    side, keeps_window = what
    data = bytearray(side.data + more)
    for place, change in changes:
        if data:
            data[place % len(data)] ^= change
    whole, split = MessageReader(keeps_window, 100_000), MessageReader(keeps_window, 100_000)
    assert read(whole, bytes(data), []) == read(split, bytes(data), places)
    assert whole.error == split.error
    cut, same = whole.finish(0), split.finish(0)
    assert (cut and cut.data) == (same and same.data)


@settings(max_examples=500)
@given(st.binary(max_size=200), st.sampled_from([None, True, False]), st.lists(st.integers(0, 200), max_size=6))
def test_garbage_is_unread_and_complete(data: bytes, keeps_window: bool | None, places: list[int]) -> None:
    reader = MessageReader(keeps_window, 1000)
    found = read(reader, data, places)
    if reader.error is not None:
        assert found[-1][0] == "unread"
        assert data.endswith(found[-1][1][-1:])
    reader.finish(0)
    assert all(len(payload) <= 1000 for kind, payload in found if kind != "unread")
