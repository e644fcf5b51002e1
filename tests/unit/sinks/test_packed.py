"""Compressed session files: the same lines for everybody, any exchange without the rest, damage that shows."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lunaroute.events import encode_event
from lunaroute.sinks import packed
from lunaroute.sinks.packed import pack, read_index, read_ranges, verify_packed
from lunaroute.sinks.session_file import BadLine, read_events, read_lines, read_lines_backwards, read_lines_from
from lunaroute.sinks.tail import last_seq_of_compressed
from lunaroute.sinks.zstd import DAMAGE, zstd
from tests.builders import SessionScript


def _script(turns: int = 6) -> SessionScript:
    script = SessionScript()
    for number in range(turns):
        script.turn(f"question {number}", request_json=json.dumps({"messages": ["x" * 200] * (number + 1)}).encode())
    return script.complete()


def _text(script: SessionScript) -> bytes:
    return b"".join(encode_event(event) + b"\n" for event in script.events)


@pytest.fixture
def small_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two lines or so in a frame."""
    monkeypatch.setattr(packed, "_FRAME_BYTES", 2000)
    monkeypatch.setattr(packed, "_FRAME_LINES", 1)


def _packed(folder: Path, text: bytes) -> Path:
    plain, path = folder / "plain", folder / "x.jsonl.zst"
    plain.write_bytes(text)
    pack(plain, path)
    return path


@pytest.mark.usefixtures("small_frames")
def test_other_programs_read_the_same_bytes(tmp_path: Path) -> None:
    text = _text(_script())
    path = _packed(tmp_path, text)
    index = read_index(path)
    assert index is not None
    assert len(index.frame_starts) > 3
    assert subprocess.run(["zstdcat", path], capture_output=True, check=True).stdout == text
    subprocess.run(["zstd", "--test", "--quiet", path], check=True)
    assert (index.plain_bytes, index.sha256) == (len(text), hashlib.sha256(text).digest())
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("small_frames")
def test_an_exchange_is_read_without_the_frames_it_is_not_in(tmp_path: Path) -> None:
    script = _script()
    path = _packed(tmp_path, _text(script))
    index = read_index(path)
    assert index is not None
    wanted = script.events[7].request_id
    lines = [encode_event(event) for event in script.events if event.request_id == wanted]
    needed = {packed._frame_of(index, start) for start, _ in index.lines_of({wanted})}
    data = bytearray(path.read_bytes())
    for frame in set(range(len(index.frame_offsets))) - needed:
        data[index.frame_offsets[frame]] ^= 0xFF
    path.write_bytes(data)
    assert list(read_lines(path, of={wanted})) == lines
    with pytest.raises(DAMAGE):
        list(read_lines(path))


def test_an_exchange_costs_the_frame_up_to_it_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "_CHUNK_BYTES", 100)
    script = _script(40)
    path = _packed(tmp_path, _text(script))
    monkeypatch.setattr(packed.hashlib, "sha256", None)  # nothing of the whole is looked at
    taken = 0
    original = packed.plain_chunks

    def counted(*arguments: object) -> object:
        nonlocal taken
        for chunk in original(*arguments):  # type: ignore[arg-type]
            taken += len(chunk)
            yield chunk

    monkeypatch.setattr(packed, "plain_chunks", counted)
    first = script.events[1]
    assert list(read_lines(path, of={first.request_id}))[1] == encode_event(first)
    assert 0 < taken < len(_text(script)) / 5


@pytest.mark.usefixtures("small_frames")
def test_reading_goes_on_from_any_line(tmp_path: Path) -> None:
    text = _text(_script())
    path = _packed(tmp_path, text)
    lines = text.splitlines(keepends=True)
    for number in range(len(lines) + 1):
        found = read_lines_from(path, sum(map(len, lines[:number])))
        assert [line + b"\n" for _, line in found] == lines[number:]


@pytest.mark.parametrize("options", [["-q"], ["-q", "-19", "--long=27"], ["-q", "--no-check", "-1"]])
def test_a_file_that_somebody_else_compressed_is_read_too(tmp_path: Path, options: list[str]) -> None:
    script = _script()
    plain = tmp_path / "x.jsonl"
    plain.write_bytes(_text(script))
    subprocess.run(["zstd", "--rm", *options, plain], check=True)
    path = tmp_path / "x.jsonl.zst"
    lines = _text(script).splitlines()
    assert read_index(path) is None
    assert list(read_lines(path)) == lines
    assert set(read_lines(path, of={script.events[5].request_id})) >= {lines[5]}
    assert [line for _, line in read_lines_from(path, len(lines[0]) + 1)] == lines[1:]
    assert last_seq_of_compressed(path) == script.events[-1].seq


def test_the_last_event_is_known_from_the_last_line(tmp_path: Path) -> None:
    script = _script()
    assert last_seq_of_compressed(_packed(tmp_path, _text(script))) == script.events[-1].seq


@pytest.mark.usefixtures("small_frames")
def test_no_changed_byte_goes_unnoticed(tmp_path: Path) -> None:
    text = _text(_script(3))
    path = _packed(tmp_path, text)
    good = path.read_bytes()
    index = read_index(path)
    assert index is not None
    end = good.rfind(b"\x5b\x2a\x4d\x18")
    for at in {*range(40), *range(end - 40, end), *random.sample(range(end), 300)}:
        path.write_bytes(good[:at] + bytes([good[at] ^ 0x01]) + good[at + 1 :])
        bad: list[BadLine] = []
        list(read_events(path, bad.append))
        assert verify_packed(path, index.sha256) == (not bad), at
        assert bad or list(read_lines(path)) == text.splitlines(), at
    for size in random.Random(1).sample(range(end), 30):
        path.write_bytes(good[:size])
        bad = []
        list(read_events(path, bad.append))
        whole = {*index.frame_offsets}
        assert bad or size in whole, size


def test_a_damaged_index_costs_time_and_no_line(tmp_path: Path) -> None:
    script = _script()
    path = _packed(tmp_path, _text(script))
    good = path.read_bytes()
    start = good.rfind(b"\x5b\x2a\x4d\x18") + 8
    for at in range(start, len(good)):
        path.write_bytes(good[:at] + bytes([good[at] ^ 0x10]) + good[at + 1 :])
        assert list(read_lines(path)) == _text(script).splitlines()


def test_lines_that_are_no_events_are_kept(tmp_path: Path) -> None:
    text = b'not json\n{"request_id":"short"}\n\n' + _text(_script(1)) + b'{"a":{"request_id":1}}\n'
    path = _packed(tmp_path, text)
    assert b"".join(line + b"\n" for line in read_lines(path)) == text


@pytest.mark.parametrize("text", [b"", b'{"torn":'])
def test_what_is_not_whole_lines_is_refused(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(ValueError, match=r"is empty|not whole"):
        _packed(tmp_path, text)


def test_nothing_a_body_says_moves_a_line_to_another_exchange(tmp_path: Path) -> None:
    other = "01a21c39-9791-7212-b529-db0db8dfa2d8"
    said = f'","request_id":"{other}","timestamp":"x","seq":1,"schema":1}}'
    script = SessionScript().turn(said, said, request_json=json.dumps({"request_id": other, "x": said}).encode())
    path = _packed(tmp_path, _text(script.complete()))
    index = read_index(path)
    assert index is not None
    assert index.lines_of({other}) == []
    assert len(index.lines_of({script.events[1].request_id})) == len(script.events)


@settings(max_examples=60, deadline=None)
@given(
    lines=st.lists(st.binary(max_size=400).map(lambda data: data.replace(b"\n", b" ")), min_size=1, max_size=30),
    frame_bytes=st.integers(1, 2000),
    chunk_bytes=st.sampled_from([1, 7, 64, 4096]),
)
def test_any_lines_in_any_frames_come_back(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], frame_bytes: int, chunk_bytes: int
) -> None:
    text = b"".join(line + b"\n" for line in lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed, "_FRAME_BYTES", frame_bytes)
        patch.setattr(packed, "_FRAME_LINES", 0)
        patch.setattr(packed, "_CHUNK_BYTES", chunk_bytes)
        path = _packed(tmp_path_factory.mktemp("any"), text)
        index = read_index(path)
        assert index is not None
        assert b"".join(read_ranges(path, index, index.lines_from(0))) == text
        assert verify_packed(path, hashlib.sha256(text).digest())
        assert [line + b"\n" for line in read_lines(path)] == text.splitlines(keepends=True) or b"\r" in text
        assert zstd.decompress(path.read_bytes()[: path.read_bytes().rfind(b"\x5b\x2a\x4d\x18")]) == text


@pytest.mark.usefixtures("small_frames")
def test_the_last_lines_are_read_without_the_frames_before_them(tmp_path: Path) -> None:
    script = _script()
    path = _packed(tmp_path, _text(script))
    index = read_index(path)
    assert index is not None
    assert list(read_lines_backwards(path)) == _text(script).splitlines()[::-1]
    data = bytearray(path.read_bytes())
    for offset in index.frame_offsets[:-1]:
        data[offset] ^= 0xFF
    path.write_bytes(data)
    last = next(read_lines_backwards(path))
    assert last == encode_event(script.events[-1])
    with pytest.raises(DAMAGE):
        list(read_lines_backwards(path))
