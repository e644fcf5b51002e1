"""[pure] Records ↔ bytes. This docstring is the format's definition, version 1.

A segment file is a 32-byte header followed by frames, written strictly one after the other:

    header   magic "LRSPOOL1" · u32 version · u32 0 · u64 segment number · u32 shredded · u32 CRC of the 28 bytes before
    frame    u32 CRC · u32 payload length · u8 type · u8 flags · u16 0 · u32 exchange · u64 t_ns · payload

All integers are little-endian. `shredded` is how many bytes of frames behind the header have been consumed and
written over with zeros (module `shred`); the first frame is behind them. A frame's CRC is CRC-32 (zlib's) over the
payload, started from the two halves, each of 32 bits, of segment number ^ t_ns ^ exchange << 7 ^ payload length << 11
^ type << 24 ^ flags << 28, the one XORed with the other, so that it vouches for the header too. Segments are written
over again after use, so what follows the last frame is either zeros or frames of an earlier life, whose CRC does not
fit the new number. A reader therefore needs no length of the file: a frame is there when its CRC says so.

`type` is the record's tag (see capture.records); 9 is the end of the segment. Frames of the relay's hot path are
packed by hand, so that body bytes are not copied and what repeats from request to request is encoded once:

    4 RequestOpened    u64 wall_ns · 16 bytes UUID · i64 content length (-1: none) · u64 pre_processing_ns
                       · u8 n · u32 m · client IP (n bytes) · opening (m bytes) · RequestChunk's body bytes, if any
    5 RequestChunk     [u64 pre_processing_ns, if flag 1] · body bytes
    6 ResponseOpened   u16 status · u32 n · reason, CRLF, header lines joined by CRLF (n bytes)
                       · ResponseChunk's body bytes, if any
    7 ResponseChunk    body bytes
    8 ExchangeClosed   u8 outcome · u64 sent_ns (0: never) · u64 pre_processing_ns · u64 post_processing_ns · detail
   10 UpgradeChunk     u64 pre_processing_ns · u64 post_processing_ns · bytes of the upgraded connection

Flag 2 says that the payload is encrypted (`lunaroute.encryption.keyring`): what is said of payloads here is true of it
when it is opened. Only frames of the hot path are.

Flag 1 says that the request's body ends here, and that pre_processing_ns is given; of an UpgradeChunk, that it came
from the client. `opening` is MessagePack:
[listener, provider, method, target, path, http_version, header_lines, tags, credential, where in header_lines the
digits of the content length belong (-1: nowhere), tenant]. All others are the record in MessagePack.
"""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from struct import Struct
from struct import error as struct_error
from typing import get_args
from uuid import UUID

import msgspec

from lunaroute.capture.ids import uuid_text
from lunaroute.capture.ports import BodyBytes
from lunaroute.capture.records import (
    ExchangeClosed,
    Opening,
    Outcome,
    Record,
    RequestChunk,
    RequestOpened,
    ResponseChunk,
    ResponseOpened,
    UpgradeChunk,
)
from lunaroute.errors import SpoolCorrupt

try:
    from isal.isal_zlib import crc32  # the same CRC-32, with carry-less multiplication: 20 x faster
except ImportError:  # pragma: no cover - platforms without wheels
    from zlib import crc32

VERSION = 1
SEGMENT_HEADER_BYTES = 32
FRAME_HEADER_BYTES = 24
MAX_PAYLOAD_BYTES = 1 << 20
"""A chunk longer than this is written as several; bounds what a reader must hold."""

REQUEST_OPENED = 4
REQUEST_CHUNK = 5
RESPONSE_OPENED = 6
RESPONSE_CHUNK = 7
EXCHANGE_CLOSED = 8
END_OF_SEGMENT = 9
UPGRADE_CHUNK = 10
LAST = 1
FROM_CLIENT = 1
SEALED = 2

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
"""An outcome's code is its index here: only ever append."""
_OUTCOME_CODES = {outcome: code for code, outcome in enumerate(OUTCOMES)}

_MAGIC = b"LRSPOOL1"
_SEGMENT_HEADER = Struct("<8sIIQI")
_U32 = Struct("<I")
_U64 = Struct("<Q")
_FRAME = Struct("<IIBBHIQ")
_pack_frame = _FRAME.pack

_OPENED = Struct("<Q16sqQBI")
_RESPONSE = Struct("<HI")
_CLOSED = Struct("<BQQQ")
_UPGRADE = Struct("<QQ")
_LAST_KIND = UPGRADE_CHUNK
SEALED_MORE_BYTES = 64
"""An encrypted payload is so much longer at most."""
_MOST_BYTES = MAX_PAYLOAD_BYTES + _UPGRADE.size + SEALED_MORE_BYTES

_encode = msgspec.msgpack.Encoder().encode
_decoder: msgspec.msgpack.Decoder[Record] = msgspec.msgpack.Decoder(Record)


def encode_segment_header(number: int, shredded_bytes: int = 0) -> bytes:
    start = _SEGMENT_HEADER.pack(_MAGIC, VERSION, 0, number, shredded_bytes)
    return start + _U32.pack(crc32(start))


def decode_segment_header(data: bytes) -> int:
    """The segment's number. Raises SpoolCorrupt when this is not a segment of ours."""
    if len(data) < SEGMENT_HEADER_BYTES:
        raise SpoolCorrupt("segment header is cut short")
    magic, version, _, number, _ = _SEGMENT_HEADER.unpack_from(data)
    if magic != _MAGIC or _U32.unpack_from(data, 28)[0] != crc32(data[:28]):
        raise SpoolCorrupt("not a spool segment")
    if version != VERSION:
        raise SpoolCorrupt(f"spool format {version} was written by another version of lunaroute")
    return int(number)


def first_frame_offset(header: bytes) -> int:
    """Where in the segment the first frame is that has not been shredded. Raises SpoolCorrupt."""
    decode_segment_header(header)
    return SEGMENT_HEADER_BYTES + int(_SEGMENT_HEADER.unpack_from(header)[4])


def encode_opening(opening: Opening) -> bytes:
    return _encode(opening)


def frame_head(kind: int, segment: int, exchange: int, t_ns: int, payload: BodyBytes, flags: int = 0) -> bytes:
    """A frame's first 24 bytes; the payload follows as it is."""
    size = len(payload)
    mixed = segment ^ t_ns ^ exchange << 7 ^ size << 11 ^ kind << 24 ^ flags << 28
    seed = (mixed ^ mixed >> 32) & 0xFFFFFFFF
    return _pack_frame(crc32(payload, seed), size, kind, flags, 0, exchange, t_ns)


def opened_payload(
    wall_ns: int,
    request_id: bytes,
    length: int,
    client_ip: bytes,
    opening: bytes,
    body: BodyBytes = b"",
    pre_ns: int | None = None,
) -> bytes:
    """Of a RequestOpened and the chunk that came with it; `request_id` are the UUID's 16 bytes."""
    fixed = _OPENED.pack(wall_ns, request_id, length, pre_ns or 0, len(client_ip), len(opening))
    return fixed + client_ip + opening + body


def last_chunk_payload(pre_ns: int, data: BodyBytes) -> bytes:
    return _U64.pack(pre_ns) + data


def response_payload(status_code: int, head: bytes, body: bytes = b"") -> bytes:
    """`head` is reason, CRLF and the header lines; `body` the bytes that came with it."""
    return _RESPONSE.pack(status_code, len(head)) + head + body


def closed_payload(outcome: Outcome, detail: str | None, sent_ns: int | None, pre_ns: int, post_ns: int) -> bytes:
    fixed = _CLOSED.pack(_OUTCOME_CODES[outcome], sent_ns or 0, pre_ns, post_ns)
    return fixed + detail.encode() if detail else fixed


def upgrade_payload(pre_ns: int, post_ns: int, data: bytes) -> bytes:
    return _UPGRADE.pack(pre_ns, post_ns) + data


def encode_record(segment: int, record: Record) -> bytes:
    """A whole frame of any record."""
    flags = 0
    exchange = 0 if not hasattr(record, "exchange") else record.exchange
    match record:
        case ResponseChunk() | RequestChunk(pre_processing_ns=None):
            payload = record.data
        case RequestChunk(pre_processing_ns=int(pre_ns)):
            payload, flags = last_chunk_payload(pre_ns, record.data), LAST
        case RequestOpened():
            payload = _opened(record)
        case ResponseOpened():
            head = record.reason.encode("latin-1", "replace") + b"\r\n" + record.header_lines
            payload = response_payload(record.status_code, head)
        case ExchangeClosed():
            r = record
            payload = closed_payload(r.outcome, r.detail, r.sent_ns, r.pre_processing_ns, r.post_processing_ns)
        case UpgradeChunk():
            payload = upgrade_payload(record.pre_processing_ns, record.post_processing_ns, record.data)
            flags = FROM_CLIENT if record.from_client else 0
        case _:
            payload = _encode(record)
    kind = int(record.__struct_config__.tag or 0)
    return frame_head(kind, segment, exchange, record.t_ns, payload, flags) + payload


def _opened(record: RequestOpened) -> bytes:
    opening = Opening(
        record.listener,
        record.provider,
        record.method,
        record.target,
        record.path,
        record.http_version,
        record.header_lines,
        record.session_tags,
        record.credential,
        tenant=record.tenant,
    )
    request_id = UUID(record.request_id).bytes
    return opened_payload(record.wall_ns, request_id, -1, record.client_ip.encode(), encode_opening(opening))


def encode_end(segment: int, t_ns: int) -> bytes:
    """The frame that says: the lane goes on in the next segment."""
    return frame_head(END_OF_SEGMENT, segment, 0, t_ns, b"")


class Stop(Enum):
    """Why decoding stopped."""

    NEED_MORE = "the buffer ends inside a frame"
    NO_FRAME = "no valid frame here (yet)"
    END_OF_SEGMENT = "the lane goes on in the next segment"


def decode_frames(
    data: bytes,
    segment: int,
    offset: int = 0,
) -> tuple[list[Record], int, Stop]:
    """Records from `offset` on, the offset after them, and why it stopped. Never raises on any bytes, but NoKeyError
    where they are encrypted and nobody has given the key.

    NO_FRAME covers three cases which only a look at the lane can tell apart: not written yet, being written
    right now, and torn by a killed writer."""
    records: list[Record] = []
    view = memoryview(data)
    end = len(data)
    while True:
        if end - offset < FRAME_HEADER_BYTES:
            return records, offset, Stop.NEED_MORE
        crc, length, kind, flags, spare, exchange, t_ns = _FRAME.unpack_from(data, offset)
        if not 1 <= kind <= _LAST_KIND or length > _MOST_BYTES or spare:
            return records, offset, Stop.NO_FRAME
        after = offset + FRAME_HEADER_BYTES + length
        if after > end:
            return records, offset, Stop.NEED_MORE
        mixed = segment ^ t_ns ^ exchange << 7 ^ length << 11 ^ kind << 24 ^ flags << 28
        seed = (mixed ^ mixed >> 32) & 0xFFFFFFFF
        if crc32(view[offset + FRAME_HEADER_BYTES : after], seed) != crc:
            return records, offset, Stop.NO_FRAME
        if kind == END_OF_SEGMENT:
            return records, after, Stop.END_OF_SEGMENT
        payload = data[offset + FRAME_HEADER_BYTES : after]
        if flags & SEALED:
            opened = _opened_payload(payload)
            if opened is None:
                return records, offset, Stop.NO_FRAME
            payload = opened
        found = _records(kind, flags, exchange, t_ns, payload)
        if found is None:
            return records, offset, Stop.NO_FRAME
        records += found
        offset = after


def _opened_payload(payload: bytes) -> bytes | None:
    """None where it is not what was sealed."""
    from lunaroute.encryption.keyring import DamagedError  # a relay that encrypts nothing does not load it
    from lunaroute.encryption.keys import keyring

    try:
        return keyring().open(payload)
    except DamagedError:
        return None


def _records(kind: int, flags: int, exchange: int, t_ns: int, payload: bytes) -> tuple[Record, ...] | None:
    """None when the payload is not what its CRC claims: written by another program."""
    try:
        if kind == RESPONSE_CHUNK:
            return (ResponseChunk(exchange, t_ns, payload),)
        if kind == REQUEST_CHUNK:
            if flags & LAST:
                return (RequestChunk(exchange, t_ns, payload[8:], _U64.unpack_from(payload)[0]),)
            return (RequestChunk(exchange, t_ns, payload, None),)
        if kind == REQUEST_OPENED:
            return _request_opened(flags, exchange, t_ns, payload)
        if kind == RESPONSE_OPENED:
            return _response_opened(exchange, t_ns, payload)
        if kind == EXCHANGE_CLOSED:
            code, sent_ns, pre_ns, post_ns = _CLOSED.unpack_from(payload)
            detail = payload[_CLOSED.size :].decode() or None
            return (ExchangeClosed(exchange, t_ns, OUTCOMES[code], detail, sent_ns or None, pre_ns, post_ns),)
        if kind == UPGRADE_CHUNK:
            pre_ns, post_ns = _UPGRADE.unpack_from(payload)
            return (UpgradeChunk(exchange, t_ns, payload[_UPGRADE.size :], bool(flags & FROM_CLIENT), pre_ns, post_ns),)
        return (_decoder.decode(payload),)
    except (msgspec.DecodeError, struct_error, IndexError, UnicodeDecodeError, RecursionError):
        return None


def _response_opened(exchange: int, t_ns: int, payload: bytes) -> tuple[Record, ...]:
    status_code, head_length = _RESPONSE.unpack_from(payload)
    head_end = _RESPONSE.size + head_length
    reason, _, lines = payload[_RESPONSE.size : head_end].partition(b"\r\n")
    opened = ResponseOpened(exchange, t_ns, status_code, reason.decode("latin-1"), lines)
    body = payload[head_end:]
    return (opened, ResponseChunk(exchange, t_ns, body)) if body else (opened,)


def _request_opened(flags: int, exchange: int, t_ns: int, payload: bytes) -> tuple[Record, ...]:
    wall_ns, request_id, length, pre_ns, ip_length, opening_length = _OPENED.unpack_from(payload)
    ip_end = _OPENED.size + ip_length
    opening_end = ip_end + opening_length
    opening = _decode_opening(payload[ip_end:opening_end])
    lines = opening.header_lines
    if length >= 0 and opening.length_at >= 0:
        lines = b"%s%d%s" % (lines[: opening.length_at], length, lines[opening.length_at :])
    opened = RequestOpened(
        exchange=exchange,
        t_ns=t_ns,
        wall_ns=wall_ns,
        request_id=uuid_text(request_id),
        listener=opening.listener,
        provider=opening.provider,
        method=opening.method,
        target=opening.target,
        path=opening.path,
        http_version=opening.http_version,
        header_lines=lines,
        client_ip=payload[_OPENED.size : ip_end].decode(),
        session_tags=opening.session_tags,
        credential=opening.credential,
        tenant=opening.tenant,
    )
    body = payload[opening_end:]
    is_last = flags & LAST
    return (opened, RequestChunk(exchange, t_ns, body, pre_ns if is_last else None)) if body or is_last else (opened,)


_opening_decoder = msgspec.msgpack.Decoder(Opening)


@lru_cache(maxsize=1024)
def _decode_opening(data: bytes) -> Opening:
    return _opening_decoder.decode(data)
