"""Bad settings, bad bodies, bad files: one clear line or a recording as is; no traceback, no byte lost."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from lunaroute.config import DEFAULT_UPSTREAMS
from lunaroute.demo.server import free_port
from lunaroute.events.bodies import request_bytes, response_bytes
from tests.support.replay import Replay, chunked, replay_all
from tests.support.server import (
    RecordedExchange,
    Server,
    clean_environment,
    exchanges,
    lines_about,
    query,
    recorded,
    serving,
    wait_until,
)

# ---- settings ---------------------------------------------------------------------------------------------------


def _serve(*arguments: str, **environment: str) -> tuple[int, str]:
    """(exit code, the one line it says) of a server that must not start."""
    ended = subprocess.run(
        [sys.executable, "-m", "lunaroute", "serve", *arguments],
        env=clean_environment() | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    return ended.returncode, line


def test_an_unknown_key_is_named_with_the_nearest_one(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[server]\nprot = 8081\n")
    code, line = _serve(f"--home={tmp_path}")
    assert code == 2
    assert "'prot'" in line
    assert "'port'" in line
    assert not (tmp_path / "run").exists(), "the server does not start on it"


@pytest.mark.parametrize(
    ("arguments", "environment", "named"),
    [
        (["--upstream=openai"], {}, "--upstream openai"),
        (["--upstream=openai=ftp://x"], {}, "http"),
        (["--port=70000"], {}, "--port"),
        ([], {"LUNAROUTE_WROKERS": "2"}, "LUNAROUTE_WORKERS"),
        ([], {"LUNAROUTE_RECORDING_ON_FAILURE": "drop"}, "LUNAROUTE_RECORDING_ON_FAILURE"),
    ],
)
def test_a_bad_value_is_named(tmp_path: Path, arguments: list[str], environment: dict[str, str], named: str) -> None:
    code, line = _serve(f"--home={tmp_path}", *arguments, **environment)
    assert code == 2
    assert named in line


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, line = _serve(f"--home={tmp_path}", f"--port={port}")
    assert code == 1
    assert f"port {port}" in line


def test_an_unwritable_home_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, line = _serve(f"--home={tmp_path / 'file' / 'home'}", "--port=0")
    assert code == 1
    assert str(tmp_path / "file" / "home") in line
    assert "--home" in line


# ---- requests and responses -------------------------------------------------------------------------------------

DEEP = b"[" * 5000 + b"]" * 5000
GOOD_REQUEST = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"input":"hi"}'
PATHS = ("/v1/messages", "/v1/chat/completions", "/v1/responses", "/unknown/path", "/")
BAD_BODIES = {
    "empty": b"",
    "cut": b'{"model":"m","messages":[',
    "not UTF-8": b'{"model":"\xff\xfe"}',
    "a lone surrogate": b'{"model":"m","messages":[{"role":"user","content":"\\ud800"}]}',
    "NUL bytes": b"\x00\x01\x02" * 100,
    "a list": b"[1,2,3]",
    "null": b"null",
    "deep": DEEP,
    "large integers": b'{"model":"m","n":' + b"9" * 400 + b"}",
    "a byte order mark": b"\xef\xbb\xbf{}",
    "NaN": b'{"model":NaN}',
    "several lines": b'{\n"model":\r\n"m"}\n',
    "equal keys": b'{"model":"a","model":"b"}',
    "wrong types": b'{"model":7,"messages":"x","tools":{},"stream":"yes","input":3,"metadata":[],"thread":1}',
    "wrong types inside": b'{"model":"m","messages":[null,7,{"role":[],"content":{"a":1}}],"tools":[null]}',
    "wrong input": b'{"model":"m","input":[null,1,{"type":[]}],"tools":[{"function":3}],"metadata":{"user_id":[]}}',
}
BAD_ANSWERS = {
    **BAD_BODIES,
    "HTML": b"<html>Bad gateway</html>",
    "wrong usage": b'{"id":1,"model":[],"usage":{"input_tokens":"7","prompt_tokens":-1,"output_tokens":1e999}}',
    "huge usage": b'{"id":"a","model":"m","usage":{"input_tokens":99999999999999999999999,"output_tokens":4}}',
    "wrong content": b'{"id":"a","content":[null,7,{"type":9}],"choices":[null,{"message":3}],"output":[null,5]}',
}
BAD_STREAMS = {
    "no events": b"hello\n\nworld",
    "events that are not JSON": b"event: message_start\ndata: {\n\ndata: nope\n\ndata: [DONE]\n\n",
    "events of wrong types": b"".join(
        b"data: " + line + b"\n\n"
        for line in (b"null", b"7", b"[]", b"{}", b'{"type":3}', b'{"type":"content_block_delta","index":"x"}')
    )
    + b'data: {"choices":[{"index":null,"delta":[1]},null],"usage":7}\n\ndata: {"type":"response.completed"}\n\n',
    "a deep event": b"data: " + DEEP + b"\n\n",
    "bytes": bytes(range(256)) * 4,
}


def _request(path: str, number: int, body: bytes) -> dict[str, bytes]:
    head = f"POST {path}?replay={number} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return {"request_head": head.encode() + b"\r\n\r\n", "request_body": body}


def _answer(body: bytes, more: bytes = b"", status: bytes = b"200 OK") -> bytes:
    head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n"
    return head % (status, more, len(body)) + body


def _stream(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + chunked(body, (50, 1, 333))


def _played(home: Path, cases: list[tuple[str, bytes, bytes]]) -> list[tuple[Replay, RecordedExchange]]:
    """(path, request body, whole response) each, played; what was sent and received, and its recording."""
    replays = [
        Replay(**_request(path, number, body), response=response)  # type: ignore[arg-type]
        for number, (path, body, response) in enumerate(cases)
    ]
    upstream_port = free_port()
    with serving(home, dict.fromkeys(DEFAULT_UPSTREAMS, f"http://127.0.0.1:{upstream_port}")) as server:
        asyncio.run(replay_all(server.port, upstream_port, replays))
    assert "rejected" not in server.said
    dead = home / "recorder" / "dead-letter"
    assert not dead.exists() or list(dead.iterdir()) == []
    found = {int(one.request.target.rpartition("=")[2]): one for one in exchanges(home)}
    assert sorted(found) == list(range(len(replays)))
    return [(replay, found[number]) for number, replay in enumerate(replays)]


def _check_kept(replay: Replay, found: RecordedExchange, response_body: bytes) -> None:
    assert replay.seen_body == replay.request_body
    assert replay.received == replay.response
    assert request_bytes(found.request) == replay.request_body
    assert response_bytes(found.response) == response_body


def test_bad_bodies_pass_and_are_recorded_as_they_are(tmp_path: Path) -> None:
    names = [(path, name) for path in PATHS for name in BAD_BODIES]
    refusal = b'{"error":{"message":"no"}}'
    cases = [(path, BAD_BODIES[name], _answer(refusal, status=b"400 Bad Request")) for path, name in names]
    for replay, found in _played(tmp_path / "home", cases):
        _check_kept(replay, found, refusal)
        assert (found.response.outcome, found.response.status_code) == ("http_error", 400)


def test_bad_answers_pass_and_are_recorded_as_they_are(tmp_path: Path) -> None:
    names = [(path, name) for path in PATHS for name in BAD_ANSWERS]
    cases = [(path, GOOD_REQUEST, _answer(BAD_ANSWERS[name])) for path, name in names]
    for (_, name), (replay, found) in zip(names, _played(tmp_path / "home", cases), strict=True):
        _check_kept(replay, found, BAD_ANSWERS[name])
        assert found.response.outcome == "completed"


def test_bad_streams_pass_and_are_recorded_as_they_are(tmp_path: Path) -> None:
    names = [(path, name) for path in PATHS for name in BAD_STREAMS]
    cases = [(path, GOOD_REQUEST, _stream(BAD_STREAMS[name])) for path, name in names]
    for (_, name), (replay, found) in zip(names, _played(tmp_path / "home", cases), strict=True):
        _check_kept(replay, found, BAD_STREAMS[name])
        assert found.response.stats.is_streaming


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate", "gzip, br", "made-up"])
def test_a_content_coding_that_is_not_true_loses_nothing(tmp_path: Path, coding: str) -> None:
    header = b"Content-Encoding: %b\r\n" % coding.encode()
    bodies = [b"not compressed", b'{"id":"plain JSON"}', gzip.compress(b'{"id":"x"}')[:-9], b"", b"\x1f\x8b" * 40]
    cases = [("/v1/messages", GOOD_REQUEST, _answer(body, header)) for body in bodies]
    for body, (replay, found) in zip(bodies, _played(tmp_path / "home", cases), strict=True):
        _check_kept(replay, found, body)


def test_what_is_not_http_is_refused_and_harms_nobody(tmp_path: Path) -> None:
    with serving(tmp_path / "home", {}) as server:
        for sent in (b"\x16\x03\x01\x02\x00" + bytes(100), b"hello\r\n\r\n", b"GET / HTTP/1.1\r\nbad header\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
                connection.sendall(sent)
                assert connection.recv(65536).startswith(b"HTTP/1.1 400 ")
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
            connection.sendall(b"GET /lunaroute/health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_a_provider_that_is_not_there_is_a_clear_502_and_recorded(tmp_path: Path) -> None:
    with serving(tmp_path / "home", {}) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
            connection.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
            answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 502 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["message"].startswith("lunaroute: ")
    (found,) = exchanges(tmp_path / "home")
    assert (found.response.outcome, found.response.success) == ("upstream_unreachable", False)
    assert request_bytes(found.request) == b"{}"


# ---- files ------------------------------------------------------------------------------------------------------


def _newer(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE schema_version (version INTEGER NOT NULL)")
        connection.execute("INSERT INTO schema_version VALUES (999)")
        connection.commit()


def _corrupt(database: Path) -> None:
    database.write_bytes(b"this is no database " * 500)


def _torn(database: Path) -> None:
    """A database whose pages after the first were overwritten."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE schema_version (version INTEGER NOT NULL)")
        connection.executemany("INSERT INTO schema_version VALUES (?)", [(1,)] * 5000)
        connection.commit()
    content = database.read_bytes()
    database.write_bytes(content[:4096] + b"\xaa" * (len(content) - 4096))


def _pass_traffic(server: Server, upstream_port: int) -> int:
    """How many exchanges passed, each in full."""
    replays = [Replay(**_request("/v1/messages", n, GOOD_REQUEST), response=_answer(b"{}")) for n in range(20)]  # type: ignore[arg-type]
    asyncio.run(replay_all(server.port, upstream_port, replays))
    assert all(replay.received == replay.response for replay in replays)
    return len(replays)


def test_an_index_of_a_newer_program_stops_no_traffic_and_loses_nothing(tmp_path: Path) -> None:
    """The recorder does not start and says what to do; once that is done it records what passed."""
    home, upstream_port = tmp_path / "home", free_port()
    database = home / "sessions" / "sessions.db"
    database.parent.mkdir(parents=True)
    _newer(database)
    with serving(home, {"anthropic": f"http://127.0.0.1:{upstream_port}"}) as server:
        count = _pass_traffic(server, upstream_port)
        # The housekeeper refuses it as well, and may be the first to say so.
        refusal = r"lunaroute: recorder: .*sessions\.db.*version 999.*upgrade lunaroute, or move the file away"
        wait_until(lambda: lines_about(refusal, server.said))
        assert query(database, "SELECT version FROM schema_version") == [{"version": 999}]
        database.rename(tmp_path / "away.db")
        recorded(home, count)
    assert len(exchanges(home)) == count


@pytest.mark.parametrize("spoil", [_corrupt, _torn])
def test_a_damaged_index_is_set_aside_and_built_again(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    home, upstream_port = tmp_path / "home", free_port()
    database = home / "sessions" / "sessions.db"
    database.parent.mkdir(parents=True)
    spoil(database)
    damaged = database.read_bytes()
    with serving(home, {"anthropic": f"http://127.0.0.1:{upstream_port}"}) as server:
        count = _pass_traffic(server, upstream_port)
        recorded(home, count)
    (line,) = lines_about("is damaged", server.said)
    assert line.startswith(f"lunaroute: {database} is damaged")
    kept = database.parent / re.search(r"kept as (\S+):", line)[1]  # type: ignore[index]
    assert kept.read_bytes()[4096:] == damaged[4096:]  # SQLite may have touched the first page before it noticed
    assert len(exchanges(home)) == count


def test_a_damaged_journal_stops_no_traffic_and_loses_nothing(tmp_path: Path) -> None:
    home, upstream_port = tmp_path / "home", free_port()
    journal = home / "recorder" / "journal.db"
    journal.parent.mkdir(parents=True)
    _corrupt(journal)
    with serving(home, {"anthropic": f"http://127.0.0.1:{upstream_port}"}) as server:
        count = _pass_traffic(server, upstream_port)
        recorded(home, count)
    (line,) = lines_about("journal.db", server.said)
    assert line == (
        f"lunaroute: recorder: {journal} cannot be used (file is not a database); "
        "it is kept as journal.db.corrupt-1, and what the spool holds is read again"
    )
    assert len(exchanges(home)) == count


@pytest.mark.parametrize("spoil", [_newer, _corrupt, _torn])
@pytest.mark.parametrize("command", [["sessions", "list"], ["reindex"]])
def test_commands_say_in_one_line_what_is_wrong_with_the_index(
    tmp_path: Path, spoil: Callable[[Path], None], command: list[str]
) -> None:
    (tmp_path / "sessions").mkdir()
    spoil(tmp_path / "sessions" / "sessions.db")
    ended = subprocess.run(
        [sys.executable, "-m", "lunaroute", *command, "--home", str(tmp_path)],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "Traceback" not in ended.stderr
    assert "unexpected" not in ended.stderr
    if ended.returncode == 0:
        assert command == ["reindex"], "reading an index that cannot be read is a failure"
        return
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert "sessions.db" in line
