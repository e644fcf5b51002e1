"""A home that is encrypted: nothing of what was said can be read on its disk, and every reader reads it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import lunaroute
from lunaroute.archive.compress import compress_all
from lunaroute.archive.push import pull, push, verify_archive
from lunaroute.archive.retention import prune
from lunaroute.archive.store import ArchiveStore
from lunaroute.capture.records import (
    ExchangeClosed,
    Opening,
    RequestChunk,
    RequestOpened,
    ResponseChunk,
    ResponseOpened,
)
from lunaroute.cli import main
from lunaroute.config import Config, StorageConfig
from lunaroute.encryption.keys import KEY_VARIABLE, keyring, look_for_keys
from lunaroute.errors import NoKeyError
from lunaroute.events import decode_event
from lunaroute.pricing import Pricer
from lunaroute.query.event_filter import EventFilter
from lunaroute.query.filter import Filter
from lunaroute.query.follow import Follower
from lunaroute.recorder.dead_letter import DeadLetters
from lunaroute.recorder.retry import retry
from lunaroute.shipping.growth import Growth
from lunaroute.shipping.positions import Positions
from lunaroute.sinks.layout import session_files
from lunaroute.sinks.reindex import reindex
from lunaroute.sinks.reprice import reprice
from lunaroute.sinks.session_file import read_lines
from lunaroute.spool.writer import SpoolWriter
from tests.support.broken_reader import break_readers
from tests.support.spooled import SEGMENT_BYTES, LaneScript, open_home, record
from tests.traffic import anthropic_request, anthropic_response, anthropic_stream
from tests.unit.verify.conftest import Store

SAID = ("umbrella", "parasol", "galoshes", "mackintosh", "sou'wester")
"""By the user, by the model, in a call's arguments, in its result, in a stream."""


def script() -> LaneScript:
    script = LaneScript("w0")
    script.start(0)
    script.request(1, anthropic_request(f"where is my {SAID[0]}"), "alpha", 10)
    answer = anthropic_response(f"beside the {SAID[1]}", calls=["toolu_1"], response_id="msg_1")
    script.response(1, [answer.replace(b'"input":{', b'"input":{"what":"%s",' % SAID[2].encode())], 100, **WHOLE)
    script.request(2, anthropic_request("and now", results=[("toolu_1", SAID[3] * 20)], stream=True), "alpha", 500)
    script.response(2, anthropic_stream(f"{SAID[4]} " * 40), 600, is_stream=True, is_closed=True)
    script.request(3, anthropic_request(f"{SAID[0]} again " * 500), "beta", 700)
    return script


WHOLE: dict[str, Any] = {"is_stream": False, "is_closed": True}


def write_spool(home: Path, *, is_sealed: bool = True) -> None:
    """As a relay does it, and killed with an exchange open."""
    (home / "spool").mkdir(parents=True)
    writer = SpoolWriter(home / "spool" / "w0", SEGMENT_BYTES, seal=keyring().seal if is_sealed else None)
    for one in script().records:
        tell(writer, one)
    writer.flush()
    for fd in (writer._fd, writer._lock_fd):
        os.close(fd)


def tell(writer: SpoolWriter, one: object) -> None:
    """By the methods of the hot path, as the relay does."""

    match one:
        case RequestOpened():
            opening = Opening(
                one.listener, one.provider, one.method, one.target, one.path, one.http_version, one.header_lines,
                one.session_tags, one.credential,
            )  # fmt: skip
            ip = one.client_ip.encode()
            request_id = UUID(one.request_id).bytes
            writer.request_opened(
                one.exchange, one.t_ns, one.wall_ns, request_id, -1, ip, writer.opening(opening), b"", None
            )
        case RequestChunk():
            writer.request_chunk(one.exchange, one.t_ns, one.data, one.pre_processing_ns)
        case ResponseOpened():
            head = one.reason.encode() + b"\r\n" + one.header_lines
            writer.response_opened(one.exchange, one.t_ns, one.status_code, head, b"")
        case ResponseChunk():
            writer.response_chunk(one.exchange, one.t_ns, one.data)
        case ExchangeClosed():
            writer.exchange_closed(
                one.exchange, one.t_ns, one.outcome, one.detail, one.sent_ns, one.pre_processing_ns,
                one.post_processing_ns,
            )  # fmt: skip
        case _:
            writer.put(one)  # type: ignore[arg-type]


def readable(folder: Path) -> set[str]:
    """What of SAID stands in any file."""
    found = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {word for word in SAID for data in found.values() if word.encode() in data}


def said(home: Path) -> bytes:
    return b"".join(line for _, path in session_files(home / "sessions") for line in read_lines(path))


@pytest.fixture
def home(tmp_path: Path, encrypted: None) -> Iterator[Path]:
    del encrypted
    home = tmp_path / "home"
    write_spool(home)
    yield home
    assert readable(home) == set()


def test_it_says_the_same_as_one_that_is_not_encrypted(tmp_path: Path, home: Path) -> None:
    record(home)
    assert Store(home).verify().problems == []
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(KEY_VARIABLE)
        look_for_keys()
        plain = tmp_path / "plain"
        write_spool(plain, is_sealed=False)
        assert readable(plain) == set(SAID) - {SAID[4]} | readable(plain)
        record(plain)
        wanted = said(plain)
        assert readable(plain) == set(SAID)
    look_for_keys()
    assert said(home) == wanted


def test_a_recorder_that_dies_at_any_step_leaves_nothing_to_read_and_nothing_lost(home: Path) -> None:
    while True:
        recorder = open_home(home)
        has_more = recorder.step()
        recorder.checkpoint()
        assert readable(home) == set(), "the journal, with an exchange that is open, included"
        recorder.close()
        if not has_more:
            break
    record(home)
    assert all(word.encode() in said(home) for word in SAID[:4])
    assert Store(home).verify().problems == []


def test_the_index_knows_who_and_when_and_how_much_and_not_what(home: Path) -> None:
    record(home)
    reindex(home / "sessions", home / "sessions" / "sessions.db")
    with closing(sqlite3.connect(home / "sessions" / "sessions.db")) as index:
        assert index.execute("SELECT count(*) FROM texts").fetchone() == (0,)
        names = index.execute("SELECT DISTINCT tool_name FROM tool_call_executions").fetchall()
        assert len(names) == 1
        models = index.execute("SELECT model_used, total_tokens > 0 FROM session_stats WHERE success").fetchall()
        assert models
        assert all(row == models[0] for row in models)


def test_a_torn_tail_loses_nothing_before_it(home: Path) -> None:
    record(home)
    _, path = next(iter(session_files(home / "sessions")))
    lines = list(read_lines(path))
    whole = path.read_bytes()
    for kept in range(0, len(whole), 97):
        path.write_bytes(whole[:kept])
        assert list(read_lines(path)) == lines[: whole[:kept].count(b"\n")]
    path.write_bytes(whole)


def test_compressed_repriced_bodiless_and_archived_it_is_still_encrypted(home: Path, tmp_path: Path) -> None:
    record(home)
    before = said(home)
    config = Config(home=home)
    assert compress_all(config.sessions_dir).compressed_count == 2
    assert [path.suffix for _, path in session_files(config.sessions_dir)] == [".zst"] * 2
    assert said(home) == before
    prices = {"anthropic/*": {"input_mtok": 1000.0, "output_mtok": 1000.0}}
    assert reprice(config.sessions_dir, config.database, Pricer(prices)).changed_count >= 1
    assert Store(home).verify().problems == []
    store = ArchiveStore(str(tmp_path / "archive"))
    assert push(store, config.sessions_dir).pushed_count == 2
    assert verify_archive(store).problems == []
    assert readable(tmp_path / "archive") == set()
    before = said(home)
    forgetful = Config(home=home, storage=StorageConfig(delete_bodies_after="0s"))
    assert prune(forgetful, datetime.now(UTC)).bodies_deleted == 2
    assert not any(word.encode() in said(home) for word in SAID)
    assert len(pull(store, config.sessions_dir).session_ids) == 2
    assert said(home) == before


def test_a_follower_goes_on_where_it_was_when_a_session_is_compressed(home: Path) -> None:
    recorder = open_home(home)
    recorder.step()
    follower = Follower(home / "sessions", EventFilter(Filter()))
    first = [decode_event(line) for line in follower.newest(1000)]
    recorder.close()
    record(home)
    compress_all(home / "sessions")
    then = [decode_event(line) for line in follower.poll()]
    assert list(follower.poll()) == []
    seen = sorted((event.session_id, event.seq) for event in [*first, *then])
    events = [decode_event(line) for _, path in session_files(home / "sessions") for line in read_lines(path)]
    assert seen == sorted((event.session_id, event.seq) for event in events)


def test_what_is_shipped_goes_on_when_a_session_is_compressed(home: Path, tmp_path: Path) -> None:
    recorder = open_home(home)
    recorder.step()
    positions = Positions(tmp_path / "positions.db")
    growth = Growth(home / "sessions", positions)
    shipped = ship(growth, positions)
    recorder.close()
    record(home)
    compress_all(home / "sessions")
    shipped += ship(growth, positions)
    positions.close()
    events = [decode_event(line) for _, path in session_files(home / "sessions") for line in read_lines(path)]
    assert sorted(shipped) == sorted((event.session_id, event.seq) for event in events)


def ship(growth: Growth, positions: Positions) -> list[tuple[str, int]]:
    found = []
    for batch in growth.batches(of_all_days=True):
        found += [(event.session_id, event.seq) for event in batch.events]
        positions.store(batch.reached)
    return found


def test_a_dead_letter_is_encrypted_and_can_be_tried_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        break_readers(patch, "response", error=ValueError(f"cannot read {SAID[0]}"))
        record(home)
    letters = DeadLetters(home / "recorder" / "dead-letter")
    assert {letter.reason for _, letter in letters.read()} == {f"response: ValueError: cannot read {SAID[0]}"}
    assert readable(home) == set()
    report = retry(home / "sessions", home / "sessions" / "sessions.db", letters, Pricer())
    assert report.left == {}
    assert len(report.done) == 2
    assert SAID[4].encode() in said(home)


def test_without_the_key_every_command_says_so_in_one_line(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record(home)
    (session_id, path), *_ = session_files(home / "sessions")
    compress_all(home / "sessions")
    monkeypatch.delenv(KEY_VARIABLE)
    for command in (["sessions", "show", session_id], ["sessions", "export", session_id], ["verify"], ["reindex"]):
        with pytest.raises(SystemExit) as ended:
            main([*command, "--home", str(home)])
        told = capsys.readouterr()
        assert ended.value.code == 1, command
        assert told.err.strip().count("\n") == 0, told.err
        assert "LUNAROUTE_ENCRYPTION_KEY" in told.err
    with pytest.raises(NoKeyError, match="needs a key"):
        list(lunaroute.read_events(path.with_name(path.name + ".zst")))
    with pytest.raises(SystemExit) as ended:
        main(["sessions", "list", "--home", str(home)])
    assert ended.value.code == 0, "lists need no key: they are made of the index"


def test_decrypt_gives_the_file_as_it_was(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    record(home)
    lines = said(home)
    key_file = tmp_path / "key"
    key_file.write_text("42" * 32)
    key_file_setting = f'[encryption]\nkey_file = "{key_file}"\n'
    (home / "config.toml").write_text(key_file_setting)
    monkeypatch.delenv(KEY_VARIABLE)

    def run(*arguments: str) -> bytes:
        with pytest.raises(SystemExit) as ended:
            main(["decrypt", "--home", str(home), *arguments])
        out, error = capfdbinary.readouterr()
        assert ended.value.code == 0, error
        return out

    def paths() -> list[str]:
        return [str(path) for _, path in session_files(home / "sessions")]

    assert run(*paths()).replace(b"\n", b"") == lines
    compress_all(home / "sessions")
    assert run(*paths()).replace(b"\n", b"") == lines
    plain = tmp_path / "plain"
    run("--to", str(plain), *paths())
    assert b"".join(line for path in sorted(plain.iterdir()) for line in read_lines(path)) == lines
    assert all(path.read_bytes()[:4] == b"\x28\xb5\x2f\xfd" for path in plain.iterdir()), "any zstd reads it"
