"""WebSocket bytes read by the letter of RFC 6455 and RFC 7692, with the examples that the RFCs give."""

from __future__ import annotations

import pytest

from lunaroute.assemble.websocket import Deflate, Message, MessageReader, agreed_deflate, close_reason
from tests.support.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Deflater,
    frame,
    message,
)

MASK = b"\x37\xfa\x21\x3d"


def read(data: bytes, *, keeps_window: bool | None = None, max_bytes: int = 1 << 20) -> list[tuple[str, bytes]]:
    reader = MessageReader(keeps_window, max_bytes)
    return [(one.kind, one.data) for one in reader.feed(data, 7)]


# ---- examples of the RFCs ---------------------------------------------------------------------------------------

HELLO = [("text", b"Hello")]
RFC_6455 = {
    "unmasked": (b"\x81\x05\x48\x65\x6c\x6c\x6f", HELLO),
    "masked": (b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", HELLO),
    "fragmented": (b"\x01\x03\x48\x65\x6c\x80\x02\x6c\x6f", HELLO),
    "ping": (b"\x89\x05\x48\x65\x6c\x6c\x6f", [("ping", b"Hello")]),
    "masked pong": (b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", [("pong", b"Hello")]),
    "256 bytes": (b"\x82\x7e\x01\x00" + bytes(256), [("binary", bytes(256))]),
    "64 KiB": (b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00" + bytes(65536), [("binary", bytes(65536))]),
}
RFC_7692 = {
    "one block": (b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00", HELLO),
    "fragmented": (b"\x41\x03\xf2\x48\xcd\x80\x04\xc9\xc9\x07\x00", HELLO),
    "window shared": (b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xc1\x05\xf2\x00\x11\x00\x00", HELLO * 2),
    "not compressed": (b"\xc1\x0b\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", HELLO),
    "final block": (b"\xc1\x08\xf3\x48\xcd\xc9\xc9\x07\x00\x00", HELLO),
    "two blocks": (b"\xc1\x0d\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", HELLO),
    "left uncompressed": (b"\x81\x05Hello", HELLO),
    "empty": (b"\xc1\x01\x00", [("text", b"")]),
}


@pytest.mark.parametrize("case", RFC_6455)
def test_examples_of_rfc_6455(case: str) -> None:
    data, expected = RFC_6455[case]
    assert read(data) == expected


@pytest.mark.parametrize("case", RFC_7692)
def test_examples_of_rfc_7692(case: str) -> None:
    data, expected = RFC_7692[case]
    assert read(data, keeps_window=True) == expected


# ---- messages ---------------------------------------------------------------------------------------------------


def test_control_frames_may_stand_inside_a_message() -> None:
    control = frame(PING, b"p") + frame(PONG, b"")
    data = message(TEXT, b"one two three", fragments=[4, 0, 4], between=control)
    assert read(data) == [*[("ping", b"p"), ("pong", b"")] * 3, ("text", b"one two three")]


def test_each_message_has_the_times_of_its_first_and_last_byte() -> None:
    reader = MessageReader(None)
    data = message(TEXT, b"abcdef", fragments=[2, 2]) + frame(TEXT, b"x")
    assert reader.feed(data[:1], 10) == []
    assert reader.is_between_messages is False
    assert reader.feed(data[1:9], 20) == []
    assert reader.feed(data[9:], 30) == [Message("text", b"abcdef", 10, 30), Message("text", b"x", 30, 30)]
    assert reader.is_between_messages


@pytest.mark.parametrize("window_bits", [9, 12, 15])
@pytest.mark.parametrize("keeps_window", [True, False])
def test_compressed_messages_with_and_without_a_shared_window(keeps_window: bool, window_bits: int) -> None:
    texts = [b"response.output_text.delta %d " % number * 200 for number in range(30)]
    deflater = Deflater(keeps_window=keeps_window, window_bits=window_bits)
    data = b"".join(message(TEXT, deflater.deflate(text), mask=MASK, is_compressed=True) for text in texts)
    assert read(data, keeps_window=keeps_window) == [("text", text) for text in texts]


def test_without_a_shared_window_nothing_may_refer_to_an_earlier_message() -> None:
    deflater = Deflater()
    data = b"".join(message(TEXT, deflater.deflate(b"again and again"), is_compressed=True) for _ in range(2))
    first, second = read(data, keeps_window=False)
    assert first == ("text", b"again and again")
    assert second[0] == "unread"


def test_a_reader_goes_on_from_a_saved_state() -> None:
    texts = [b"the same words, number %d" % number for number in range(8)]
    deflater = Deflater()
    data = b"".join(message(TEXT, deflater.deflate(text), is_compressed=True, fragments=[3]) for text in texts)
    for place in range(len(data)):
        first = MessageReader(True)
        found = first.feed(data[:place], 7)
        second = MessageReader(True)
        second.state = first.state
        found += second.feed(data[place:], 7)
        assert [one.data for one in found] == texts


# ---- what is not WebSocket --------------------------------------------------------------------------------------

MALFORMED = {
    "reserved bit": (frame(TEXT, b"x", reserved=0x20), "a reserved bit is set"),
    "compressed though not agreed": (frame(TEXT, b"x", is_compressed=True), "a reserved bit is set"),
    "opcode 3": (frame(3, b"x"), "unknown opcode 3"),
    "opcode 11": (frame(11, b"x"), "unknown opcode 11"),
    "continuation of nothing": (frame(CONTINUATION, b"x"), "a continuation of nothing"),
    "fragmented ping": (frame(PING, b"x", is_final=False), "a control frame that is none"),
    "long ping": (frame(PING, bytes(126)), "a control frame that is none"),
    "too long": (frame(BINARY, bytes(1001)), "a message of more than 1000 bytes"),
    "endless": (b"\x82\xff" + b"\xff" * 8 + MASK, "a message of more than 1000 bytes"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_what_is_not_websocket_is_handed_out_unread_from_there_on(case: str) -> None:
    data, reason = MALFORMED[case]
    reader = MessageReader(None, 1000)
    found = reader.feed(frame(TEXT, b"good") + data + frame(TEXT, b"later"), 7)
    assert (found[0].kind, found[0].data) == ("text", b"good")
    assert {one.kind for one in found[1:]} == {"unread"}
    assert b"".join(one.data for one in found[1:]) == data + frame(TEXT, b"later")
    assert reader.error == reason
    assert reader.feed(b"more", 8) == [Message("unread", b"more", 8, 8)]
    assert reader.finish(9) is None


def test_a_message_within_a_message_gives_back_what_was_held() -> None:
    first = frame(TEXT, b"begun", is_final=False)
    assert read(first + frame(TEXT, b"x")) == [("unread", b"begun"), ("unread", frame(TEXT, b"x"))]


def test_a_message_too_long_in_pieces_is_unread() -> None:
    data = message(BINARY, bytes(1200), fragments=[600, 500])
    reader = MessageReader(None, 1000)
    kinds = [(one.kind, len(one.data)) for one in reader.feed(data, 7)]
    assert kinds[0] == ("unread", 600)
    assert all(kind == "unread" for kind, _ in kinds)


def test_a_small_message_that_inflates_beyond_the_bound_is_unread() -> None:
    bomb = Deflater().deflate(bytes(50_000_000))
    data = message(TEXT, bomb, is_compressed=True)
    assert len(data) < 60_000
    assert read(data + b"rest", keeps_window=True) == [("unread", bomb), ("unread", b"rest")]


def test_deflate_data_that_is_none_is_unread() -> None:
    data = message(TEXT, b"\xff\xff\xff\xff", is_compressed=True)
    assert read(data, keeps_window=True) == [("unread", b"\xff\xff\xff\xff")]


# ---- the end ----------------------------------------------------------------------------------------------------


def test_the_beginning_of_a_message_is_there_at_the_end() -> None:
    data = message(TEXT, b"one two three", mask=MASK, fragments=[4])
    for place in range(len(data)):
        reader = MessageReader(None)
        assert reader.feed(data[:place], 7) == []
        cut = reader.finish(9)
        assert cut is None or (cut.kind == "cut" and b"one two three".startswith(cut.data) and cut.started_ns == 7)
        assert (cut is not None) == (place > 6)


def test_the_beginning_of_a_compressed_message_is_inflated_as_far_as_it_goes() -> None:
    deflater = Deflater()
    text = b" ".join(b"%d" % number for number in range(3000))
    whole = message(TEXT, deflater.deflate(text[:100]), is_compressed=True)
    data = message(TEXT, deflater.deflate(text), is_compressed=True)
    reader = MessageReader(True)
    assert len(reader.feed(whole + data[: len(data) // 2], 7)) == 1
    cut = reader.finish(9)
    assert cut is not None
    assert len(cut.data) > 1000
    assert text.startswith(cut.data)


def test_a_control_frame_that_was_cut_is_nothing() -> None:
    reader = MessageReader(None)
    assert reader.feed(frame(PING, b"half")[:4], 7) == []
    assert reader.finish(9) is None


# ---- the handshake ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extensions", "expected"),
    [
        ([], None),
        ([""], None),
        (["x-webkit-deflate-frame"], None),
        (["permessage-deflate"], Deflate(True, True)),
        (["Permessage-Deflate; client_max_window_bits=12"], Deflate(True, True)),
        (["foo, permessage-deflate; server_no_context_takeover"], Deflate(True, False)),
        (["foo", "permessage-deflate;client_no_context_takeover ; server_max_window_bits=9"], Deflate(False, True)),
    ],
)
def test_compression_is_what_the_answer_agreed_to(extensions: list[str], expected: Deflate | None) -> None:
    assert agreed_deflate(extensions) == expected


def test_close_reason_is_for_people() -> None:
    assert close_reason((1011).to_bytes(2, "big") + b"out of memory") == "1011 out of memory"
    assert close_reason((1000).to_bytes(2, "big")) == "1000"
    assert close_reason(b"") == close_reason(b"\x03") == "no status"
    assert read(frame(CLOSE, b"\x03\xe8", mask=MASK)) == [("close", b"\x03\xe8")]
