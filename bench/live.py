"""How late watchers see what a provider says, and what being watched costs the relay: `make bench-live`.

A provider of its own sends each stream a word every so often; the word is the moment at which it was sent, by the
clock that all processes of a machine share. So whoever receives it knows how old it is: the client behind the relay, a
watcher of `/api/v1/events`, one of the live socket (as `lunaroute top` is), and `lunaroute tail -f` of whole responses.

Rounds: nobody watches; three watch; fifty-three do, fifty of them the page of one session each. Each round has a server
and a home of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from lunaroute.config import Config
from lunaroute.live.watching import updates
from lunaroute.live.wire import Hello
from lunaroute.supervisor.instance import ServerInfo, read_info

STAMP = re.compile(r"(\d{12,}) ")
ROUNDS = (("nobody watches", 0, 0), ("three watch", 1, 0), ("and fifty pages of a session each", 1, 50))


class Lags:
    """Milliseconds between a word and its arrival."""

    def __init__(self) -> None:
        self.ms: list[float] = []

    def hear(self, text: str, *, is_last_only: bool = False) -> None:
        now = time.monotonic_ns()
        stamps = STAMP.findall(text)
        self.ms += [(now - int(stamp)) / 1e6 for stamp in (stamps[-1:] if is_last_only else stamps)]

    def __str__(self) -> str:
        if len(self.ms) < 2:
            return "–"
        cuts = statistics.quantiles(self.ms, n=100)
        return f"p50 {cuts[49]:6.1f}  p95 {cuts[94]:6.1f}  p99 {cuts[98]:6.1f}  n {len(self.ms)}"


# ---- the provider ---------------------------------------------------------------------------------------------


def provide(ready: Any, words: int, every_s: float) -> None:
    """A process: streams of `words` words, one every `every_s` seconds."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            await reader.readexactly(int(length[1]) if length else 0)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-4-5", "content": []}
            message["usage"] = {"input_tokens": 1000, "output_tokens": 1}
            said = _event({"type": "message_start", "message": message})
            said += _event({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
            await _send(writer, said)
            await asyncio.sleep(random.random() * every_s)
            for _ in range(words):
                delta = {"type": "text_delta", "text": f"{time.monotonic_ns()} "}
                await _send(writer, _event({"type": "content_block_delta", "index": 0, "delta": delta}))
                await asyncio.sleep(every_s)
            delta = {"type": "text_delta", "text": f"{time.monotonic_ns()} "}
            said = _event({"type": "content_block_delta", "index": 0, "delta": delta})
            said += _event({"type": "content_block_stop", "index": 0})
            ending = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": words}}
            await _send(writer, said + _event(ending) + _event({"type": "message_stop"}))
            writer.write(b"0\r\n\r\n")
            await writer.drain()
        writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=512)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


def _event(data: dict[str, Any]) -> bytes:
    return f"event: {data['type']}\ndata: {json.dumps(data)}\n\n".encode()


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(b"%x\r\n%s\r\n" % (len(data), data))
    await writer.drain()


# ---- clients and watchers --------------------------------------------------------------------------------------


async def ask(port: int, number: int, lags: Lags) -> None:
    """One stream through the relay."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    message = {"role": "user", "content": f"question {number}"}
    body = json.dumps({"model": "claude-opus-4-5", "stream": True, "max_tokens": 9, "messages": [message]}).encode()
    head = f"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\nx-session: {number}\r\nconnection: close\r\n"
    writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    while data := await reader.read(65536):
        lags.hear(data.decode())
    writer.close()


class EventWatcher:
    """A connection to one of the dashboard's streams."""

    def __init__(self, port: int, path: str) -> None:
        self._port, self._path = port, path
        self.in_flight, self.recorded = Lags(), Lags()
        self.sessions: asyncio.Queue[str] = asyncio.Queue()
        self.is_connected = asyncio.Event()

    async def run(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=64 << 20)
        writer.write(f"GET {self._path} HTTP/1.1\r\nhost: 127.0.0.1:{self._port}\r\n\r\n".encode())
        event = ""
        await reader.readline()
        self.is_connected.set()
        try:
            while line := await reader.readline():
                if line.startswith(b"event: "):
                    event = line[7:].decode().strip()
                elif line.startswith(b"data: "):
                    self._hear(event, line[6:].decode())
        finally:
            writer.close()

    def _hear(self, event: str, data: str) -> None:
        if event == "in_flight":
            self.in_flight.hear(data)
        elif event == "response_recorded":
            self.recorded.hear(data, is_last_only=True)
        elif event == "request_recorded":
            self.sessions.put_nowait(json.loads(data)["session_id"])


async def watch_socket(home: Path, lags: Lags) -> None:
    async for update in updates(Config(home=home).live_socket, Hello()):
        for one in [] if update is None else update.exchanges:
            lags.hear("".join(delta.text for delta in one.deltas))


async def watch_tail(home: Path, lags: Lags) -> None:
    command = ["-m", "lunaroute", "tail", "-f", "--json", "--limit", "1", "--home", str(home)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdout=asyncio.subprocess.PIPE, limit=64 << 20
    )
    assert process.stdout is not None
    try:
        while line := await process.stdout.readline():
            if line.startswith(b'{"type":"response_recorded"'):
                lags.hear(json.loads(line)["response_text"], is_last_only=True)
    finally:
        process.terminate()
        await process.wait()


# ---- a round ---------------------------------------------------------------------------------------------------


async def one_round(provider_port: int, streams: int, watchers: int, pages: int) -> None:
    with tempfile.TemporaryDirectory(prefix="lunaroute-bench-") as folder:
        home = Path(folder) / "home"
        command = ["serve", f"--home={home}", "--port=0", "--ui-port=0"]
        upstream = f"--upstream=anthropic=http://127.0.0.1:{provider_port}"
        quiet = {"stdout": asyncio.subprocess.DEVNULL, "stderr": asyncio.subprocess.DEVNULL}
        server = await asyncio.create_subprocess_exec(sys.executable, "-m", "lunaroute", *command, upstream, **quiet)
        try:
            await _measure(home, await asyncio.to_thread(_started, home), streams, watchers, pages)
        finally:
            server.terminate()
            await server.wait()


async def _measure(home: Path, info: ServerInfo, streams: int, watchers: int, pages: int) -> None:
    main = EventWatcher(info.ui_port, "/api/v1/events?form=facts")
    on_socket, on_tail, client = Lags(), Lags(), Lags()
    watching: list[Coroutine[Any, Any, None]] = []
    if watchers:
        watching = [main.run(), watch_socket(home, on_socket), watch_tail(home, on_tail)]
    tasks = [asyncio.create_task(one) for one in watching]
    if watchers:
        await main.is_connected.wait()
    await asyncio.sleep(1.5)
    pids = {name: _child(info.pid, f"lunaroute.{name}") for name in ("relay", "recorder", "dashboard")}
    before = {name: _cpu_ms(pid) for name, pid in pids.items()}
    asking = [asyncio.create_task(ask(info.port, number, client)) for number in range(streams)]
    shown: list[EventWatcher] = []
    if pages:
        ids = [await main.sessions.get() for _ in range(pages)]
        shown = [EventWatcher(info.ui_port, f"/api/v1/live?session={one}") for one in ids]
        tasks += [asyncio.create_task(one.run()) for one in shown]
    began = time.monotonic()
    await asyncio.gather(*asking)
    spent_s = time.monotonic() - began
    cpu = {name: _cpu_ms(pid) - before[name] for name, pid in pids.items()}
    await asyncio.sleep(1.5)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    print(f"  client                 {client}")
    if watchers:
        print(f"  /api/v1/events         {main.in_flight}")
        print(f"  live socket (top)      {on_socket}")
        print(f"  whole responses, SSE   {main.recorded}")
        print(f"  whole responses, tail  {on_tail}")
    if shown:
        pages_lags = Lags()
        # What a page is told first is the text so far, which is as old as it is.
        pages_lags.ms = [ms for one in shown for ms in one.in_flight.ms[len(one.in_flight.ms) // 4 :]]
        print(f"  session pages          {pages_lags}")
    print("  CPU, ms a second       " + "  ".join(f"{name} {ms / spent_s:.0f}" for name, ms in cpu.items()), flush=True)


def _started(home: Path) -> ServerInfo:
    while (info := read_info(home / "run")) is None:
        time.sleep(0.05)
    return info


def _child(pid: int, module: str) -> int:
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        if module.encode() in Path(f"/proc/{child}/cmdline").read_bytes():
            return int(child)
    sys.exit(f"the server has no {module}")


def _cpu_ms(pid: int) -> float:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--words", type=int, default=100)
    parser.add_argument("--every-ms", type=float, default=100.0)
    arguments = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    provider = multiprocessing.get_context("spawn").Process(
        target=provide, args=(theirs, arguments.words, arguments.every_ms / 1000), daemon=True
    )
    provider.start()
    port = ours.recv()
    print(f"{arguments.streams} streams of {arguments.words} words, one in {arguments.every_ms:g} ms;", end=" ")
    print(f"milliseconds from the provider; load average {os.getloadavg()[0]:.1f}")
    for name, watchers, pages in ROUNDS:
        print(name)
        asyncio.run(one_round(port, arguments.streams, watchers, pages))
    provider.terminate()


if __name__ == "__main__":
    main()
