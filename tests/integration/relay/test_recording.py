"""The relay's recording: no credential in it, and what happens when the disk refuses it."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lunaroute.config import RecordingConfig
from lunaroute.spool.writer import open_lane
from tests.support.relay import SEGMENT_BYTES, RelayProcess, ScriptedUpstream, Wire, started, wait_until

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REQUEST = b"POST /u/x HTTP/1.1\r\nHost: r\r\nContent-Length: 3\r\n\r\nabc"

SECRET = b"hunter2swordfish"
REQUEST_LINES = [
    b"Authorization: Bearer %s",
    b"authorization:Basic %s",
    b"X-Api-Key: %s",
    b"x-goog-api-key:\t%s",
    b"api-key: %s",
    b"Cookie: session=%s; other=1",
    b"Proxy-Authorization: Basic %s",
    b"X-Amz-Security-Token: %s",
    b"CF-Access-Client-Secret: %s",
    b"X-APIKEY-Id: %s",
]
QUERIES = [
    b"key=%s",
    b"alt=sse&api_key=%s",
    b"api-key=%s&x=y",
    b"access_token=%s",
    b"accessToken=%s",
    b"X-Goog-Signature=%s",
]
RESPONSE_LINES = [b"Set-Cookie: id=%s; Secure", b"X-Auth-Token: %s", b"x-new-api-key: %s", b"X-Api-Key-Next: %s"]


@pytest.mark.parametrize("at", range(max(len(REQUEST_LINES), len(QUERIES), len(RESPONSE_LINES))))
def test_no_credential_is_in_any_byte_of_the_spool(relay: RelayProcess, upstream: ScriptedUpstream, at: int) -> None:
    line = REQUEST_LINES[at % len(REQUEST_LINES)] % SECRET
    query = QUERIES[at % len(QUERIES)] % SECRET
    answer = RESPONSE_LINES[at % len(RESPONSE_LINES)] % SECRET
    client = relay.connect()
    client.send(b"GET /%s/x?%s HTTP/1.1\r\nHost: r\r\n%s\r\n\r\n" % (upstream.name.encode(), query, line))
    peer = upstream.accept()
    head = peer.read_head()
    assert head.startswith(b"GET /x?%s HTTP/1.1\r\n" % query)  # the provider does get it
    assert line.startswith(b"Proxy") or b"\r\n" + line + b"\r\n" in head
    response = b"HTTP/1.1 200 OK\r\n%s\r\nContent-Length: 0\r\n\r\n" % answer
    peer.send(response)
    assert client.read(len(response)) == response
    opened = relay.spool.exchange(upstream.name).opened
    assert b": fp_" in opened.header_lines
    assert "fp_" in opened.target
    assert SECRET not in relay.spool_bytes()


def test_segments_and_their_folders_are_the_owner_s_only(relay: RelayProcess) -> None:
    relay.health()
    for path in [relay.config.spool_dir, *relay.config.spool_dir.rglob("*.seg"), *relay.config.spool_dir.iterdir()]:
        assert path.stat().st_mode & 0o077 == 0


@contextmanager
def full_disk(relay: RelayProcess) -> Iterator[None]:
    """To the relay, every write to a file is one too many (EFBIG); pipes and sockets still work."""
    limits = resource.prlimit(relay.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(relay.process.pid, resource.RLIMIT_FSIZE, (0, limits[1]))
    yield
    resource.prlimit(relay.process.pid, resource.RLIMIT_FSIZE, limits)


needs_prlimit = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs prlimit(2)")


def ask(client: Wire, peer: Wire) -> None:
    client.send(REQUEST)
    peer.read_head()
    assert peer.read(3) == b"abc"
    peer.send(OK)
    assert client.read(len(OK)) == OK


@needs_prlimit
def test_traffic_goes_on_unrecorded_and_counted_while_the_disk_is_full(tmp_path: Path) -> None:
    upstream = ScriptedUpstream("u")
    with started(tmp_path, {"u": upstream.url}) as relay:
        client = relay.connect()
        client.send(REQUEST)
        peer = upstream.accept()
        peer.read_head()
        peer.read(3)
        peer.send(OK)
        assert client.read(len(OK)) == OK
        assert relay.spool.outcome("u") == "completed"
        with full_disk(relay):
            for _ in range(3):
                ask(client, peer)
            status = relay.health()
            assert (status["status"], status["unrecorded_exchanges"]) == ("not_recording", 3)
        wait_until(lambda: relay.health()["status"] == "ok")
        assert relay.health()["unrecorded_exchanges"] == 3
        ask(client, peer)
        assert relay.spool.outcome("u", 1) == "completed"
        assert [gap.exchange_count for gap in relay.spool.gaps] == [3]
        assert len(relay.spool.ended) == 2
    assert "traffic goes on unrecorded" in relay.stderr
    assert "recording works again; 3 exchanges" in relay.stderr
    upstream.close()


@needs_prlimit
def test_exchange_open_when_the_disk_fills_up_is_interrupted_in_the_recording_only(tmp_path: Path) -> None:
    upstream = ScriptedUpstream("u")
    with started(tmp_path, {"u": upstream.url}) as relay:
        client = relay.connect()
        client.send(REQUEST)
        peer = upstream.accept()
        peer.read_head()
        peer.read(3)
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        client.read_head()
        assert client.read(3) == b"abc"
        with full_disk(relay):
            peer.send(b"def")
            assert client.read(3) == b"def"
        wait_until(lambda: relay.health()["status"] == "ok")
        peer.send(b"ghi")
        assert client.read(3) == b"ghi"
        assert relay.spool.outcome("u") == "interrupted"
        assert relay.spool.exchange("u").response_body == b"abc"
        assert [gap.exchange_count for gap in relay.spool.gaps] == [1]
    upstream.close()


@needs_prlimit
def test_nothing_passes_unrecorded_in_audit_mode(tmp_path: Path) -> None:
    upstream = ScriptedUpstream("u")
    recording = RecordingConfig(on_failure="block", segment_bytes=SEGMENT_BYTES)
    with started(tmp_path, {"u": upstream.url}, recording=recording) as relay:
        streaming, waiting = relay.connect(), relay.connect()
        peers = []
        for client in (streaming, waiting):
            client.send(REQUEST)
            peers.append(upstream.accept())
            peers[-1].read_head()
        peers[0].send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        streaming.read_head()
        assert streaming.read(3) == b"abc"
        with full_disk(relay):
            peers[0].send(b"def")
            assert streaming.read_to_end()[0] == b""
            peers[1].send(OK)
            assert waiting.read_head().startswith(b"HTTP/1.1 503 ")
            client = relay.connect()
            client.send(REQUEST)
            assert client.read_head().startswith(b"HTTP/1.1 503 ")
        wait_until(lambda: relay.health()["status"] == "ok")
        client = relay.connect()
        client.send(REQUEST)
        peer = upstream.accept()  # the third: the refused request never got here
        peer.read_head()
        peer.send(OK)
        assert client.read(len(OK)) == OK
        assert relay.spool.outcome("u", 2) == "completed"
    upstream.close()


def test_frames_are_safe_at_once_when_asked_for(tmp_path: Path) -> None:
    upstream = ScriptedUpstream("u")
    recording = RecordingConfig(fsync_ms=0, segment_bytes=SEGMENT_BYTES)
    with started(tmp_path, {"u": upstream.url}, recording=recording) as relay:
        client = relay.connect()
        client.send(REQUEST)
        peer = upstream.accept()
        peer.read_head()
        peer.send(OK)
        assert client.read(len(OK)) == OK
        assert relay.spool.outcome("u") == "completed"
    upstream.close()


def test_second_worker_records_into_a_lane_of_its_own(tmp_path: Path) -> None:
    upstream = ScriptedUpstream("u")
    taken = open_lane(tmp_path / "spool", SEGMENT_BYTES)
    with started(tmp_path, {"u": upstream.url}) as relay:
        client = relay.connect()
        client.send(REQUEST)
        peer = upstream.accept()
        peer.read_head()
        peer.send(OK)
        assert client.read(len(OK)) == OK
        assert relay.spool.exchange("u").key.lane == "w1"
    taken.close([], 0)
    upstream.close()
