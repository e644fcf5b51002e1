"""The load tools count what passes: provider and client together, and the client with answers of all kinds."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from bench.overhead.tools import compile_tools, provider, send_once

PATIENCE_S = 60
STAMP = "0000000000000000001"


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler to make the load tools with")
    folder = tmp_path_factory.mktemp("load-tools")
    compile_tools(folder)
    return folder


@pytest.fixture(scope="module")
def port(tools: Path) -> Iterator[int]:
    with provider(tools) as port:
        yield port


def client(
    tools: Path, port: int, target: str, *, connections: int = 1, requests: int = 1, size: int = 100
) -> dict[str, float]:
    (tools / "body").write_bytes(b"x" * size)
    words = [port, target, tools / "body", connections, PATIENCE_S, requests, 0]
    command = [str(word) for word in (tools / "client", *words)]
    figures: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return figures


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """A provider of one connection that sends each request this answer, byte by byte, and then closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while not connection.recv(65536).endswith(b"\r\n\r\n" + b"x" * 100):
                    pass
                for at in range(len(answer)):
                    connection.sendall(answer[at : at + 1])
                connection.recv(1)

        server = threading.Thread(target=serve)
        server.start()
        yield listener.getsockname()[1]
        server.join()


def test_every_request_gets_its_answer(tools: Path, port: int) -> None:
    figures = client(tools, port, "/v1/messages?bytes=1000", connections=3, requests=50)
    assert (figures["requests"], figures["errors"], figures["refused"], figures["chunks"]) == (50, 0, 0, 0)
    assert figures["bytes"] % 50 == 0
    assert figures["bytes"] > 50 * 1000
    assert 0 < figures["first_byte_p50_us"] <= figures["answer_p50_us"] <= figures["answer_p99_us"]


def test_every_chunk_of_a_stream_is_seen_with_the_time_it_was_sent(tools: Path, port: int) -> None:
    figures = client(tools, port, "/v1/messages?chunks=7&every_ms=2", connections=2, requests=4)
    assert (figures["requests"], figures["chunks"]) == (4, 28)
    assert 0 < figures["chunk_p50_us"] <= figures["chunk_p99_us"]
    assert figures["answer_p50_us"] >= 7 * 2000, "chunks are not closer to each other than asked for"


def test_chunks_come_at_once_where_no_pace_is_asked_for(tools: Path, port: int) -> None:
    assert client(tools, port, "/v1/messages?chunks=1000", connections=2, requests=6)["chunks"] == 6000


def test_bodies_larger_than_any_buffer_pass_both_ways(tools: Path, port: int) -> None:
    figures = client(tools, port, "/v1/messages?bytes=5000000", connections=2, requests=4, size=5_000_000)
    assert (figures["requests"], figures["errors"]) == (4, 0)
    assert figures["bytes"] > 20_000_000


def test_more_connections_than_requests_end_as_well(tools: Path, port: int) -> None:
    assert client(tools, port, "/v1/messages", connections=20, requests=3)["requests"] == 3


@pytest.mark.parametrize("cut", range(2, len(STAMP)))
def test_a_stamp_is_read_across_two_chunks(tools: Path, cut: int) -> None:
    text = f"a @{STAMP} b"
    pieces = (text[:cut], text[cut:])
    body = "".join(f"{len(piece):X}\r\n{piece}\r\n" for piece in pieces) + "0\r\nTrailer: 1\r\n\r\n"
    head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with answering((head + body).encode()) as port:
        figures = client(tools, port, "/v1/messages")
    assert (figures["requests"], figures["chunks"], figures["bytes"], figures["errors"]) == (1, 1, len(text), 0)


def test_an_answer_other_than_200_is_counted_and_ends_a_run(tools: Path) -> None:
    answer = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno"
    with answering(answer) as port:
        assert client(tools, port, "/v1/messages")["refused"] == 1
    (tools / "body-100.json").write_bytes(b"x" * 100)
    with answering(answer) as port, pytest.raises(SystemExit, match="1 answers other than 200"):
        send_once(tools, port, 100, "bytes=1")
