"""How small the agent sessions of the corpus become, how fast, and what an exchange costs on disk.

    python -m bench.storage [--corpus DIR] [--keep HOME]

All of it is played through a relay first (`bench.recorded_corpus`). Speeds are of one core: CPU time of this process.
Short sessions are the first five calls of each Claude Code session, with its system prompt and list of tools.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from uuid import UUID

import msgspec
from bench.recorded_corpus import record_corpus

from lunaroute.sinks.layout import session_files
from lunaroute.sinks.packed import pack, plain_chunks, read_index, verify_packed
from lunaroute.sinks.reindex import reindex
from lunaroute.sinks.session_file import read_lines
from lunaroute.sinks.zstd import zstd

_SHORT_CALLS = 5
_DICTIONARY_BYTES = 110 * 1024
_MB = 1e6


class Packed(msgspec.Struct, frozen=True, kw_only=True):
    """A session before and after."""

    plain: Path
    path: Path
    exchanges: int
    index_bytes: int
    """Of an index of this session alone, above that of none."""

    @property
    def plain_bytes(self) -> int:
        return self.plain.stat().st_size

    @property
    def packed_bytes(self) -> int:
        return self.path.stat().st_size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--corpus", type=Path, default=Path(os.environ.get("LUNAROUTE_CORPUS", "../shared/corpus")))
    parser.add_argument("--keep", type=Path, help="record into this folder and leave it there")
    arguments = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="lunaroute-storage-"))
    try:
        home = arguments.keep or scratch / "whole"
        record_corpus(arguments.corpus, home)
        record_corpus(arguments.corpus, scratch / "short", calls=_SHORT_CALLS, names="cc-*")
        report(packed(home, scratch / "a"), packed(scratch / "short", scratch / "b"))
    finally:
        shutil.rmtree(scratch)


def packed(home: Path, folder: Path) -> list[Packed]:
    folder.mkdir()
    nothing = _index_bytes([], folder)
    found = []
    for session_id, plain in session_files(home / "sessions"):
        path = folder / f"{session_id}.jsonl.zst"
        index = pack(plain, path)
        assert verify_packed(path, index.sha256)
        found.append(
            Packed(
                plain=plain,
                path=path,
                exchanges=sum(b'"type":"response_recorded"' in line[:40] for line in read_lines(plain)),
                index_bytes=_index_bytes([plain], folder) - nothing,
            )
        )
    return found


def report(whole: list[Packed], short: list[Packed]) -> None:
    print("| session | exchanges | plain MB | compressed KB | smaller | × |\n|---|---|---|---|---|---|")
    for one in sorted(whole, key=lambda one: one.plain_bytes):
        _row(f"{one.exchanges} exchanges", [one])
    _row("all", whole)
    _row("short ones", short)
    print()
    _speeds(whole)
    _dictionary(short)
    _one_exchange(max(whole, key=lambda one: one.exchanges))
    print(
        "\n| bytes per exchange | files plain | files compressed | index | before | after |\n|---|---|---|---|---|---|"
    )
    for one in (min(whole, key=lambda one: abs(one.exchanges - 200)), max(whole, key=lambda one: one.exchanges)):
        _per_exchange(f"session of {one.exchanges}", [one])
    _per_exchange("all", whole)
    _per_exchange("short ones", short)
    per_session = statistics.mean(one.packed_bytes + one.index_bytes for one in short)
    files = statistics.mean(one.packed_bytes for one in short)
    print(
        f"\n100,000 short sessions: {files * 1e5 / _MB:,.0f} MB of files, {per_session * 1e5 / _MB:,.0f} MB with index"
    )


def _row(name: str, ones: Sequence[Packed]) -> None:
    plain, small = sum(one.plain_bytes for one in ones), sum(one.packed_bytes for one in ones)
    count = sum(one.exchanges for one in ones)
    print(
        f"| {name} | {count} | {plain / _MB:.2f} | {small / 1e3:.1f} | {1 - small / plain:.2%} | {plain / small:.0f} |"
    )


def _speeds(ones: Sequence[Packed]) -> None:
    plain_mb = sum(one.plain_bytes for one in ones) / _MB
    aside = ones[0].path.with_name("again")

    def compress() -> None:
        for one in ones:
            pack(one.plain, aside)
            aside.unlink()

    def decompress() -> None:
        for one in ones:
            with one.path.open("rb") as file:
                for _ in plain_chunks(file):
                    pass

    def verify() -> None:
        for one in ones:
            index = read_index(one.path)
            assert index is not None
            assert verify_packed(one.path, index.sha256)

    for name, work in (("compress", compress), ("decompress", decompress), ("decompress and compare hashes", verify)):
        print(f"{name}: {plain_mb / _cpu_s(work):,.0f} MB/s")


def _cpu_s(work: object) -> float:
    took = []
    for _ in range(3):
        begin = time.process_time()
        work()  # type: ignore[operator]
        took.append(time.process_time() - begin)
    return min(took)


def _dictionary(short: list[Packed]) -> None:
    """Trained on all other sessions, each time; nobody without it could read what it compressed."""
    plain = [one.plain.read_bytes() for one in short]
    without, with_it = 0, 0
    for number, text in enumerate(plain):
        others = [line for place, other in enumerate(plain) if place != number for line in other.splitlines()]
        trained = zstd.train_dict(others, _DICTIONARY_BYTES)
        without += len(zstd.compress(text, 3))
        with_it += len(zstd.compress(text, 3, zstd_dict=trained))
    total = sum(map(len, plain))
    print(f"short sessions without a dictionary {1 - without / total:.2%} smaller, with one {1 - with_it / total:.2%}")


def _one_exchange(one: Packed) -> None:
    index = read_index(one.path)
    assert index is not None
    last = str(UUID(bytes=index.request_ids[-16:]))
    took = _cpu_s(lambda: list(read_lines(one.path, of={last})))
    whole = _cpu_s(lambda: sum(map(len, read_lines(one.path))))
    print(f"the last exchange of {one.exchanges}: {took * 1e3:.1f} ms; the whole file: {whole * 1e3:.1f} ms")


def _per_exchange(name: str, ones: Sequence[Packed]) -> None:
    count = sum(one.exchanges for one in ones)
    plain, small, index = (
        sum(getattr(one, what) for one in ones) / count for what in ("plain_bytes", "packed_bytes", "index_bytes")
    )
    print(f"| {name} | {plain:,.0f} | {small:,.0f} | {index:,.0f} | {plain + index:,.0f} | {small + index:,.0f} |")


def _index_bytes(plain: list[Path], folder: Path) -> int:
    sessions = folder / "indexed"
    for path in plain:
        (sessions / path.parent.name).mkdir(parents=True)
        (sessions / path.parent.name / path.name).symlink_to(path.resolve())
    sessions.mkdir(exist_ok=True)
    database = sessions / "sessions.db"
    reindex(sessions, database)
    with closing(sqlite3.connect(database)) as index:
        (used,) = index.execute("SELECT sum(payload) + sum(ncell) * 6 FROM dbstat").fetchone()
    shutil.rmtree(sessions)
    return int(used)


if __name__ == "__main__":
    main()
