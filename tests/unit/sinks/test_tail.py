"""The end of a session file, found by reading backwards: whatever its lines are long, wherever it is torn off."""

from __future__ import annotations

import json
import os
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunaroute.sinks import tail
from lunaroute.sinks.tail import EMPTY_SEQ, find_tail, last_line


@given(
    lengths=st.lists(st.integers(0, 70), max_size=8),
    torn=st.sampled_from([b"", b"{", b"\0" * 40, b'{"seq": 9', b"\0\n", b"x" * 50 + b"\n" + b"y" * 20]),
    block_bytes=st.integers(1, 40),
)
def test_the_last_whole_event_is_found_whatever_the_blocks_cut(
    lengths: list[int], torn: bytes, block_bytes: int
) -> None:
    lines = [json.dumps({"seq": seq, "text": "x" * length}).encode() for seq, length in enumerate(lengths)]
    whole = b"".join(line + b"\n" for line in lines)
    with tempfile.TemporaryFile() as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tail, "_BLOCK_BYTES", block_bytes)
        file.write(whole + torn)
        file.flush()
        found = find_tail(file.fileno())
        os.ftruncate(file.fileno(), len(whole))
        last = last_line(file.fileno()) if lines else b""
    assert (found.valid_bytes, found.last_seq) == (len(whole), len(lines) - 1 if lines else EMPTY_SEQ)
    assert (found.link is None) == (not lines)
    assert last == (lines[-1] if lines else b"")
