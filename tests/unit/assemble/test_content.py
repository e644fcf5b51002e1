from __future__ import annotations

import gzip
import sys
import tracemalloc
import zlib
from collections.abc import Callable

import brotli  # type: ignore[import-untyped]
import pytest

from lunaroute.assemble.content import ContentDecoder, decode_content

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BODY = b"".join(b"line %d of a body that compresses somewhat\n" % number for number in range(40_000))


def raw_deflate(data: bytes) -> bytes:
    encoder = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    return encoder.compress(data) + encoder.flush()


def brotli_encode(data: bytes) -> bytes:
    return bytes(brotli.compress(data, quality=5))


ENCODERS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", gzip.compress),
    ("x-gzip", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
    ("br", brotli_encode),
    ("zstd", zstd.compress),
]
every_coding = pytest.mark.parametrize(("coding", "encode"), ENCODERS)


@every_coding
def test_each_coding_is_undone(coding: str, encode: Callable[[bytes], bytes]) -> None:
    decoded = decode_content(encode(BODY), coding)

    assert decoded.data == BODY
    assert decoded.error is None


@every_coding
def test_single_bytes_decode_to_the_same_body(coding: str, encode: Callable[[bytes], bytes]) -> None:
    encoded = encode(BODY[:5000])
    decoder = ContentDecoder(coding)

    decoded = b"".join(decoder.feed(encoded[i : i + 1]) for i in range(len(encoded))) + decoder.finish()

    assert decoded == BODY[:5000]
    assert decoder.error is None


@every_coding
def test_a_cut_body_yields_what_could_be_decoded_and_says_so(coding: str, encode: Callable[[bytes], bytes]) -> None:
    encoded = encode(BODY)

    decoded = decode_content(encoded[: len(encoded) * 2 // 3], coding)

    assert len(decoded.data) > len(BODY) // 4
    assert BODY.startswith(decoded.data)
    assert decoded.error is not None
    assert "ends inside" in decoded.error


@every_coding
def test_each_read_yields_what_it_flushed(coding: str, encode: Callable[[bytes], bytes]) -> None:
    if coding == "zstd":
        encoder = zstd.ZstdCompressor()
        first = encoder.compress(b"one\n\n", mode=encoder.FLUSH_BLOCK)
    elif coding in ("gzip", "x-gzip"):
        gzip_encoder = zlib.compressobj(wbits=31)
        first = gzip_encoder.compress(b"one\n\n") + gzip_encoder.flush(zlib.Z_SYNC_FLUSH)
    elif coding == "br":
        brotli_encoder = brotli.Compressor()
        first = brotli_encoder.process(b"one\n\n") + brotli_encoder.flush()
    else:
        return

    assert ContentDecoder(coding).feed(first) == b"one\n\n"


@every_coding
def test_a_bomb_stops_at_the_bound_in_output_and_memory(coding: str, encode: Callable[[bytes], bytes]) -> None:
    bomb = encode(bytes(64 * 1024 * 1024))

    tracemalloc.start()
    decoded = decode_content(bomb, coding, max_bytes=100_000)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert decoded.data == bytes(100_000)
    assert decoded.error is not None
    assert "larger than 100000" in decoded.error
    assert peak_bytes < 8 * 1024 * 1024


@every_coding
def test_a_body_of_exactly_the_bound_is_whole(coding: str, encode: Callable[[bytes], bytes]) -> None:
    decoded = decode_content(encode(BODY), coding, max_bytes=len(BODY))

    assert (decoded.data, decoded.error) == (BODY, None)


@every_coding
def test_corrupt_bytes_never_raise(coding: str, encode: Callable[[bytes], bytes]) -> None:
    encoded = bytearray(encode(BODY[:2000]))
    for position in range(0, len(encoded), 3):
        broken = bytearray(encoded)
        broken[position] ^= 0xFF

        decode_content(bytes(broken), coding, max_bytes=10_000)


def test_stacked_codings_are_undone_last_applied_first() -> None:
    encoded = zstd.compress(gzip.compress(BODY))

    decoded = decode_content(encoded, "gzip, ZSTD , identity")

    assert (decoded.data, decoded.error) == (BODY, None)


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_members_that_follow_each_other_are_one_body(coding: str) -> None:
    encode = gzip.compress if coding == "gzip" else zstd.compress

    decoded = decode_content(encode(b"one ") + encode(b"two"), coding)

    assert (decoded.data, decoded.error) == (b"one two", None)


@pytest.mark.parametrize("coding", [None, "", "identity"])
def test_a_body_without_coding_is_itself(coding: str | None) -> None:
    decoded = decode_content(BODY, coding)

    assert (decoded.data, decoded.error) == (BODY, None)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_an_empty_body_is_no_error(coding: str) -> None:
    assert decode_content(b"", coding).error is None


def test_an_unknown_coding_hands_the_bytes_on_and_says_so() -> None:
    decoded = decode_content(b"abc", "gzip, snappy")

    assert decoded.data == b"abc"
    assert decoded.error == "unknown content coding 'snappy'"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_body_that_is_not_in_its_coding_is_an_error(coding: str) -> None:
    decoded = decode_content(b'{"plain": "json"}', coding)

    assert decoded.error is not None
