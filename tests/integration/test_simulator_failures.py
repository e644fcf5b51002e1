"""Every way in which the simulated provider can misbehave, observed on raw sockets."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator

import brotli  # type: ignore[import-untyped]
import pytest

from lunaroute.errors import StartError
from lunaroute.simulator import LedgerEntry, RunningSimulator, start_simulator

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

DIALECTS = {
    "/v1/messages": {"model": "claude-x", "max_tokens": 500, "messages": [{"role": "user", "content": "hi"}]},
    "/v1/chat/completions": {
        "model": "gpt-x",
        "messages": [{"role": "user", "content": "hi"}],
        "stream_options": {"include_usage": True},
    },
    "/v1/responses": {"model": "gpt-x", "input": "hi"},
}
EACH_DIALECT = pytest.mark.parametrize("path", DIALECTS)


@pytest.fixture(scope="module")
def simulator() -> Iterator[RunningSimulator]:
    with start_simulator() as running:
        yield running


def request(path: str, simulate: str = "", *, is_stream: bool = True, extra: str = "") -> bytes:
    body = json.dumps(DIALECTS[path] | {"stream": is_stream}).encode()
    directive = f"X-Simulate: {simulate}\r\n" if simulate else ""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\n{directive}{extra}Content-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body


def exchange(simulator: RunningSimulator, sent: bytes) -> bytes:
    """Everything the simulator sends until it closes. Raises ConnectionResetError for a reset."""
    with socket.create_connection(("127.0.0.1", simulator.port), timeout=20) as connection:
        connection.sendall(sent)
        received = bytearray()
        while data := connection.recv(65536):
            received += data
        return bytes(received)


def parts(received: bytes) -> tuple[int, dict[str, str], bytes]:
    """(status, headers by lower-case name, body still in its framing)."""
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    pairs = (line.partition(": ") for line in lines)
    return int(first.split(" ")[1]), {name.lower(): value for name, _, value in pairs}, body


def unchunked(body: bytes) -> tuple[bytes, bool, list[int]]:
    """(data, whether the last chunk came, sizes of the chunks)."""
    data, sizes = b"", []
    while body:
        line, _, rest = body.partition(b"\r\n")
        size = int(line, 16)
        if size == 0:
            return data, True, sizes
        sizes.append(size)
        data += rest[:size]
        body = rest[size + 2 :]
    return data, False, sizes


def last(simulator: RunningSimulator) -> LedgerEntry:
    return simulator.ledger()[-1]


def eventually(found: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not found():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


@EACH_DIALECT
def test_an_ordinary_stream_is_whole_and_in_the_ledger(simulator: RunningSimulator, path: str) -> None:
    status, headers, body = parts(exchange(simulator, request(path)))
    data, is_whole, _ = unchunked(body)
    entry = last(simulator)
    assert (status, headers["content-type"], is_whole) == (200, "text/event-stream; charset=utf-8", True)
    assert entry.request_id in (headers.get("request-id"), headers.get("x-request-id"))
    assert any("ratelimit" in name for name in headers)
    assert entry.response_sha256 == hashlib.sha256(data).hexdigest()
    assert (entry.response_bytes, entry.outcome, entry.directives) == (len(data), "completed", {})


@EACH_DIALECT
def test_an_error_status_comes_with_retry_after(simulator: RunningSimulator, path: str) -> None:
    status, headers, body = parts(exchange(simulator, request(path, "status=529; retry_after=3")))
    assert (status, headers["retry-after"]) == (529, "3")
    assert "error" in json.loads(body)
    assert (last(simulator).status, last(simulator).usage) == (529, None)


@EACH_DIALECT
@pytest.mark.parametrize("is_stream", [True, False])
def test_cut_after_sends_exactly_so_many_bytes(simulator: RunningSimulator, path: str, is_stream: bool) -> None:
    _, headers, body = parts(exchange(simulator, request(path, "cut_after=300", is_stream=is_stream)))
    data, is_whole, _ = unchunked(body) if is_stream else (body, False, [])
    assert (len(data), is_whole) == (300, False)
    if not is_stream:
        assert int(headers["content-length"]) > 300
    entry = last(simulator)
    assert (entry.outcome, entry.response_bytes, entry.is_usage_served) == ("cut", 300, False)
    assert entry.response_sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("simulate", ["cut_after=300; reset", "drop; reset"])
def test_reset_is_a_tcp_reset(simulator: RunningSimulator, simulate: str) -> None:
    with pytest.raises(ConnectionResetError):
        exchange(simulator, request("/v1/messages", simulate))


def test_drop_closes_without_an_answer(simulator: RunningSimulator) -> None:
    assert exchange(simulator, request("/v1/messages", "drop")) == b""
    assert (last(simulator).status, last(simulator).outcome) == (0, "cut")


@EACH_DIALECT
def test_end_after_is_a_clean_but_early_end(simulator: RunningSimulator, path: str) -> None:
    _, _, body = parts(exchange(simulator, request(path, "end_after=400")))
    data, is_whole, _ = unchunked(body)
    assert (len(data), is_whole) == (400, True)
    assert (last(simulator).outcome, last(simulator).is_usage_served) == ("completed", False)


@EACH_DIALECT
def test_error_event_replaces_the_rest_of_the_stream(simulator: RunningSimulator, path: str) -> None:
    _, _, body = parts(exchange(simulator, request(path, "error_event_after=3")))
    data, is_whole, _ = unchunked(body)
    blocks = data.decode().rstrip("\n").split("\n\n")
    assert (len(blocks), is_whole) == (4, True)
    assert '"error"' in blocks[-1]
    assert not last(simulator).is_usage_served


def test_malformed_sse_is_malformed_and_the_rest_still_comes(simulator: RunningSimulator) -> None:
    _, _, body = parts(exchange(simulator, request("/v1/messages", "malformed_sse")))
    data, is_whole, _ = unchunked(body)
    assert b"this line has no field name" in data
    assert b"\xff\xfe" in data
    assert data.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
    assert is_whole


@pytest.mark.parametrize("is_stream", [True, False])
def test_chunked_split_sends_every_byte_as_a_chunk(simulator: RunningSimulator, is_stream: bool) -> None:
    _, _, body = parts(exchange(simulator, request("/v1/messages", "chunked_split=1", is_stream=is_stream)))
    data, is_whole, sizes = unchunked(body)
    assert set(sizes) == {1}
    assert is_whole
    assert last(simulator).response_sha256 == hashlib.sha256(data).hexdigest()


@EACH_DIALECT
@pytest.mark.parametrize("is_stream", [True, False])
def test_close_delimits_the_body_by_the_connections_end(
    simulator: RunningSimulator, path: str, is_stream: bool
) -> None:
    sent = request(path, "close", is_stream=is_stream).replace(b"Connection: close\r\n", b"")
    _, headers, body = parts(exchange(simulator, sent))
    assert not {"content-length", "transfer-encoding"} & set(headers)
    assert headers["connection"] == "close"
    assert last(simulator).response_sha256 == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("is_stream", [True, False])
@pytest.mark.parametrize(
    ("coding", "decode"), [("gzip", gzip.decompress), ("br", brotli.decompress), ("zstd", zstd.decompress)]
)
def test_compressed_bodies_decode(
    simulator: RunningSimulator, coding: str, decode: Callable[[bytes], bytes], is_stream: bool
) -> None:
    _, headers, body = parts(exchange(simulator, request("/v1/messages", coding, is_stream=is_stream)))
    data, _, _ = unchunked(body)
    assert headers["content-encoding"] == coding
    assert (b"message_stop" if is_stream else last(simulator).text.encode()) in decode(data)
    assert last(simulator).response_sha256 == hashlib.sha256(data).hexdigest()


def arrival_gaps_ms(simulator: RunningSimulator, sent: bytes) -> tuple[float, float]:
    """(until the first byte, longest after it)."""
    with socket.create_connection(("127.0.0.1", simulator.port), timeout=20) as connection:
        connection.sendall(sent)
        times = [time.monotonic()]
        while connection.recv(65536):
            times.append(time.monotonic())
    gaps = [(b - a) * 1000 for a, b in itertools.pairwise(times)]
    return gaps[0], max(gaps[1:], default=0.0)


def test_slow_first_byte_delays_the_head(simulator: RunningSimulator) -> None:
    first, _ = arrival_gaps_ms(simulator, request("/v1/messages", "slow_first_byte_ms=150"))
    assert first >= 145


@pytest.mark.parametrize("is_stream", [True, False])
def test_the_silent_gap_lies_in_the_middle(simulator: RunningSimulator, is_stream: bool) -> None:
    sent = request("/v1/messages", "silent_gap_ms=150", is_stream=is_stream)
    first, longest = arrival_gaps_ms(simulator, sent)
    assert longest >= 145 > first
    assert last(simulator).outcome == "completed"


def test_an_early_response_comes_before_the_body(simulator: RunningSimulator) -> None:
    head, _, body = request("/v1/messages", "early_response").partition(b"\r\n\r\n")
    with socket.create_connection(("127.0.0.1", simulator.port), timeout=20) as connection:
        connection.sendall(head + b"\r\n\r\n" + body[:10])
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")
        connection.sendall(body[10:])
        while connection.recv(65536):
            pass
    assert last(simulator).request_sha256 == hashlib.sha256(body).hexdigest()


def test_expect_continue_is_answered_before_the_body(simulator: RunningSimulator) -> None:
    head, _, body = request("/v1/messages", extra="Expect: 100-continue\r\n").partition(b"\r\n\r\n")
    with socket.create_connection(("127.0.0.1", simulator.port), timeout=20) as connection:
        connection.sendall(head + b"\r\n\r\n")
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")


@EACH_DIALECT
def test_no_usage_tells_none_but_the_ledger_knows(simulator: RunningSimulator, path: str) -> None:
    _, _, body = parts(exchange(simulator, request(path, "no_usage", is_stream=False)))
    assert json.loads(body).get("usage") is None
    entry = last(simulator)
    assert entry.usage is not None
    assert not entry.is_usage_served


def test_times_counts_identical_requests(simulator: RunningSimulator) -> None:
    sent = request("/v1/responses", "status=500; times=2", extra="X-Test: times\r\n")
    sent = sent.replace(b'"hi"', b'"yo"')  # a body no other test sends
    assert [parts(exchange(simulator, sent))[0] for _ in range(3)] == [500, 500, 200]


def test_an_unknown_directive_is_refused_by_name(simulator: RunningSimulator) -> None:
    status, _, body = parts(exchange(simulator, request("/v1/messages", "stattus=500")))
    assert status == 400
    assert b"stattus" in body


def test_a_client_that_leaves_is_noticed_in_the_silence(simulator: RunningSimulator) -> None:
    with socket.create_connection(("127.0.0.1", simulator.port), timeout=20) as connection:
        connection.sendall(request("/v1/messages", "silent_gap_ms=60000"))
        assert connection.recv(100)
    assert eventually(lambda: last(simulator).outcome == "client_gone")
    assert last(simulator).response_bytes > 0


def test_headers_are_kept_in_order_case_and_number(simulator: RunningSimulator) -> None:
    extra = "X-Twice: a\r\nx-twice: b\r\nWeIrD-CaSe: \xe9\r\n"
    sent = request("/v1/messages", extra=extra).replace("\xe9".encode(), b"\xe9")
    exchange(simulator, sent)
    head, _, _ = sent.partition(b"\r\n\r\n")
    assert simulator.raw_head(last(simulator).n) == head + b"\r\n\r\n"
    wanted = [("X-Twice", "a"), ("x-twice", "b"), ("WeIrD-CaSe", "\xe9")]
    assert [pair for pair in last(simulator).request_headers if pair in wanted] == wanted


def test_a_chunked_and_compressed_request_is_understood(simulator: RunningSimulator) -> None:
    body = zstd.compress(json.dumps(DIALECTS["/v1/responses"]).encode())
    chunked = b"%x\r\n%b\r\n%x\r\n%b\r\n0\r\nTrailer: x\r\n\r\n" % (5, body[:5], len(body) - 5, body[5:])
    head = b"POST /v1/responses HTTP/1.1\r\nContent-Encoding: zstd\r\nTransfer-Encoding: chunked\r\n"
    status, _, _ = parts(exchange(simulator, head + b"Connection: close\r\n\r\n" + chunked))
    assert status == 200
    assert last(simulator).request_sha256 == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("GET /v1/nothing HTTP/1.1", 404),
        ("GET /v1/messages HTTP/1.1", 405),
        ("GET /v1/responses HTTP/1.1\r\nUpgrade: websocket", 426),
        ("HEAD /v1/models HTTP/1.1", 200),
    ],
)
def test_other_requests_get_the_fitting_status(simulator: RunningSimulator, line: str, status: int) -> None:
    received = exchange(simulator, f"{line}\r\nConnection: close\r\n\r\n".encode())
    assert parts(received)[0] == status
    assert (parts(received)[2] == b"") == line.startswith("HEAD")


def test_a_provider_without_websocket_takes_a_handshake_for_any_get() -> None:
    upgrade = "Upgrade: websocket\r\nConnection: close\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: a2V5\r\n"
    with start_simulator(http_only=True) as simulator:
        assert parts(exchange(simulator, f"GET /v1/responses HTTP/1.1\r\n{upgrade}\r\n".encode()))[0] == 405


def test_a_kept_connection_serves_several_requests(simulator: RunningSimulator) -> None:
    before = len(simulator.ledger())
    kept = request("/v1/messages", is_stream=False).replace(b"Connection: close\r\n", b"")
    exchange(simulator, kept + kept + request("/v1/messages", is_stream=False))
    assert len(simulator.ledger()) == before + 3


def test_the_natural_pace_shows_and_scales() -> None:
    with start_simulator(delay_factor=0.2) as simulator:
        first, _ = arrival_gaps_ms(simulator, request("/v1/messages"))
    assert first > 50


def test_the_same_seed_gives_the_same_ids() -> None:
    found = []
    for _ in range(2):
        with start_simulator(seed="s") as simulator:
            exchange(simulator, request("/v1/messages"))
            found.append((last(simulator).request_id, last(simulator).response_id))
    assert found[0] == found[1]


def test_sigterm_ends_it_with_code_0_even_in_a_stream() -> None:
    with start_simulator() as simulator:
        with socket.create_connection(("127.0.0.1", simulator.port), timeout=20) as connection:
            connection.sendall(request("/v1/messages", "silent_gap_ms=60000"))
            assert connection.recv(100)
            simulator.process.send_signal(signal.SIGTERM)
            assert simulator.process.wait(10) == 0
        assert simulator.process.stderr is not None
        assert simulator.process.stderr.read() == ""


def test_a_taken_port_is_a_clear_error(simulator: RunningSimulator) -> None:
    with (
        pytest.raises(StartError, match=f"cannot listen on 127.0.0.1:{simulator.port}"),
        start_simulator(port=simulator.port),
    ):
        pass
