"""Recorded exchanges played through a relay, on raw sockets: an upstream that serves the recorded responses, and a
client that sends the recorded requests and keeps every byte it gets back.

A request names its exchange by the query parameter `replay=<number>`, which recordings keep.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Iterator, Sequence

import msgspec

_NUMBER = re.compile(rb"[?&]replay=(\d+)")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_TIMEOUT_S = 30.0


class Replay(msgspec.Struct, kw_only=True):
    """What is to be sent, and what came of it."""

    request_head: bytes
    """Without Host, blank line included."""
    request_body: bytes
    response: bytes
    """Head, framing and body, as the upstream writes them."""
    pieces: int = 1
    """In how many writes."""
    seen_head: bytes = b""
    """By the upstream."""
    seen_body: bytes = b""
    received: bytes = b""
    """By the client: everything that belongs to the response, byte for byte."""


async def replay_all(port: int, upstream_port: int, replays: Sequence[Replay], connections: int = 4) -> None:
    """Play them over a few kept-alive connections; fills in what was seen and received."""
    await _play(port, upstream_port, replays, [iter(replays)] * connections)


async def replay_runs(port: int, upstream_port: int, runs: Sequence[Sequence[Replay]]) -> None:
    """Play all runs at once, each in its order on a connection of its own. Numbers go on from run to run."""
    await _play(port, upstream_port, [replay for run in runs for replay in run], [iter(run) for run in runs])


async def _play(
    port: int, upstream_port: int, replays: Sequence[Replay], connections: Sequence[Iterator[Replay]]
) -> None:
    """`connections`: what is to be sent over each; they may share one."""
    server = await asyncio.start_server(
        lambda reader, writer: _serve(reader, writer, replays), "127.0.0.1", upstream_port, limit=1 << 24
    )
    async with server, asyncio.TaskGroup() as group:
        for waiting in connections:
            group.create_task(_send_each(port, waiting))


async def _send_each(port: int, waiting: Iterator[Replay]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
    try:
        for replay in waiting:
            head = replay.request_head.replace(b"\r\n", b"\r\nHost: 127.0.0.1:%d\r\n" % port, 1)
            writer.write(head + replay.request_body)
            async with asyncio.timeout(_TIMEOUT_S):
                replay.received = await _read_message(reader)
    finally:
        writer.close()


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, replays: Sequence[Replay]) -> None:
    # Cancelled: all is played, and the relay still keeps its connection for the next request.
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            replay = replays[int(_NUMBER.search(head)[1])]  # type: ignore[index]
            replay.seen_head = head
            replay.seen_body = await _body(reader, head)
            size = -(-len(replay.response) // replay.pieces)
            for start in range(0, len(replay.response), size):
                writer.write(replay.response[start : start + size])
                await writer.drain()
    writer.close()


async def _read_message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    if not _CHUNKED.search(head):
        return head + await _body(reader, head)
    message = bytearray(head)
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line, 16)
        message += line + await reader.readexactly(size + 2)
        if size == 0:
            return bytes(message)


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    length = _LENGTH.search(head)
    return await reader.readexactly(int(length[1])) if length else b""


def chunked(body: bytes, sizes: Sequence[int]) -> bytes:
    """The body in the chunked transfer coding, in chunks of these sizes over and over."""
    framed = bytearray()
    start = turn = 0
    while start < len(body):
        piece = body[start : start + sizes[turn % len(sizes)]]
        framed += b"%x\r\n%b\r\n" % (len(piece), piece)
        start, turn = start + len(piece), turn + 1
    return bytes(framed) + b"0\r\n\r\n"
