"""What `verify` says of files: nothing of good ones, and of every other one what is wrong and where."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lunaroute.sinks.packed import pack
from lunaroute.sinks.session_file import zstd

from .conftest import Store

Lines = list[bytes]


def test_a_good_store_has_no_problems(store: Store) -> None:
    report = store.verify()
    assert report.problems == []
    assert (report.session_count, report.open_count) == (2, 0)
    assert report.line_count == sum(len(store.lines(number)) for number in range(2))


def _changed(lines: Lines, number: int, old: bytes, new: bytes) -> Lines:
    assert old in lines[number]
    return [*lines[:number], lines[number].replace(old, new, 1), *lines[number + 1 :]]


CHAIN = "`prev` does not fit: the line before is not the one that was written before it"
# Lines of the file: started, then request and response of three exchanges, then completed.
MUTATIONS: dict[str, tuple[Callable[[Lines], Lines], list[str]]] = {
    "a text was changed": (
        lambda lines: _changed(lines, 1, b'"request_text":"question 0"', b'"request_text":"question 9"'),
        [f":3: {CHAIN}"],
    ),
    "a body was changed": (
        lambda lines: _changed(lines, 1, b'"text":"question 0"', b'"text":"question 9"'),
        [":2: body_sha256 of exchange {id} is not that of its body"],
    ),
    "a body was made longer": (
        lambda lines: _changed(lines, 1, b'"text":"question 0"', b'"text":"question 10"'),
        [
            ":2: body_sha256 of exchange {id} is not that of its body",
            ":2: body of exchange {id} has {size} bytes, not {said}",
        ],
    ),
    "a line was removed": (
        lambda lines: [*lines[:2], *lines[3:]],
        [
            f":3: {CHAIN}",
            ":3: seq is 3, not 2",
            ":7: exchange {id} has no response",
            ":7: final_stats.request_count is 3, its exchanges add up to 2",
        ],
    ),
    "two lines changed places": (
        lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
        [
            f":2: {CHAIN}",
            ":2: seq is 2, not 1",
            ":2: is the response of exchange {id}, whose request is missing",
            f":3: {CHAIN}",
            ":3: seq is 1, not 3",
            f":4: {CHAIN}",
            ":4: seq is 3, not 2",
        ],
    ),
    "a line is there twice": (
        lambda lines: [*lines[:3], lines[2], *lines[3:]],
        [f":4: {CHAIN}", ":4: seq is 2, not 3", ":4: is a second response of exchange {id}"],
    ),
    "the end is missing": (
        lambda lines: lines[:-1],
        [": has no `completed`, and no recorder runs that could write it; the next start does"],
    ),
    "the end is torn": (
        lambda lines: [*lines, b'{"type":'],
        [": has bytes behind its last line"],
    ),
    "something follows the end": (
        lambda lines: [*lines, lines[1]],
        [
            f":9: {CHAIN}",
            ":9: seq is 1, not 8",
            ":9: stands behind `completed`, which is the last",
            ":9: is a second request of exchange {id}",
        ],
    ),
    "a line is no event": (
        lambda lines: [lines[0], b"garbage\n", *lines[2:]],
        [
            ":2: is no event: JSON is malformed: invalid character (byte 0)",
            f":3: {CHAIN}",
            ":3: is the response of exchange {id}, whose request is missing",
        ],
    ),
    "the schema is of tomorrow": (
        lambda lines: _changed(lines, 0, b'"schema":1', b'"schema":2'),
        [":1: schema is 2; this program knows 1 to 1", f":2: {CHAIN}"],
    ),
    "a total was changed": (
        lambda lines: _changed(lines, 7, b'"request_count":3', b'"request_count":4'),
        [":8: final_stats.request_count is 4, its exchanges add up to 3"],
    ),
    "the chain was taken out": (
        lambda lines: [lines[0], *[_without_prev(line) for line in lines[1:]]],
        [":2: has no `prev`, nor have those behind it until one is named"],
    ),
}


def _without_prev(line: bytes) -> bytes:
    event = json.loads(line)
    return line.replace(b',"prev":"%s"' % event["prev"].encode(), b"")


@pytest.mark.parametrize("name", MUTATIONS)
def test_each_thing_that_is_wrong_is_named_with_its_line(store: Store, name: str) -> None:
    change, expected = MUTATIONS[name]
    lines = store.lines()
    request = json.loads(lines[1])
    said = request["stats"]["request_size_bytes"]
    place = str(store.files[0]).removeprefix(f"{store.sessions_dir}/")
    store.write(change(lines))
    wanted = [place + one.format(id=request["request_id"], said=said, size=said + 1) for one in expected]
    found = store.problems()
    assert [one for one in wanted if one not in found] == []
    # Where lines are missing or added, more totals are wrong than the one that is expected here.
    assert [one for one in found if one not in wanted and "final_stats" not in one] == []


def test_a_line_of_another_session_is_named(store: Store) -> None:
    store.write([*store.lines(0)[:-1], store.lines(1)[2], store.lines(0)[-1]])
    other = json.loads(store.lines(1)[0])["session_id"]
    assert any(problem.endswith(f":8: belongs to session {other}") for problem in store.problems())


def _compress(path: Path) -> Path:
    packed = path.with_suffix(".jsonl.zst")
    pack(path, packed)
    path.unlink()
    return packed


def test_a_compressed_file_is_checked_like_a_plain_one(store: Store) -> None:
    packed = _compress(store.files[0])
    assert store.verify().problems == []
    lines = zstd.decompress(packed.read_bytes()).splitlines(keepends=True)
    packed.write_bytes(zstd.compress(b"".join([*lines[:2], *lines[3:]])))
    assert f"{packed.parent.name}/{packed.name}:3: seq is 3, not 2" in store.problems()


def test_a_damaged_compressed_file_is_named(store: Store) -> None:
    packed = _compress(store.files[0])
    packed.write_bytes(packed.read_bytes()[:-20])
    damaged, no_end = store.problems()
    assert "compressed data is damaged" in damaged
    assert "no `completed`" in no_end


def test_a_file_in_the_wrong_folder_is_named(store: Store) -> None:
    path = store.files[0]
    elsewhere = store.sessions_dir / "2020-01-01"
    elsewhere.mkdir()
    path.rename(elsewhere / path.name)
    assert store.problems() == [f"2020-01-01/{path.name}: is not in the folder of its day"]


def test_nothing_is_changed(store: Store) -> None:
    before = {path: path.read_bytes() for path in [*store.files, store.database]}
    store.write([*store.lines(), b"torn"])
    before[store.files[0]] += b"torn"
    store.verify()
    assert {path: path.read_bytes() for path in before} == before
