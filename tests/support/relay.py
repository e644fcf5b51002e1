"""A relay worker as a process of its own, providers that follow a test's script, and what the spool then holds.

Tests drive both ends themselves, step by step, so what arrives when is proven and nothing is waited for by the clock:

    with started(home, upstreams) as relay:
        client = relay.connect()
        client.send(b"GET /u0/ HTTP/1.1\\r\\nHost: relay\\r\\n\\r\\n")
        peer = upstream.accept()
        assert peer.read_head() == ...
"""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from lunaroute.assemble.assembler import Assembler
from lunaroute.assemble.exchange import Exchange, ExchangeEnded, RecordingGap
from lunaroute.capture.records import Record
from lunaroute.config import Config, RecordingConfig, ServerConfig, TenantsConfig, TimeoutConfig
from lunaroute.spool.follow import Follower
from lunaroute.supervisor.spec import WorkerSpec

TIMEOUT_S = 10.0
SEGMENT_BYTES = 4 << 20


class Wire:
    """One end of a TCP connection: blocking, and impatient."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(TIMEOUT_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self._unread = b""

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def receive(self) -> bytes:
        """What comes next, in one read; nothing when the other side has ended. Raises ConnectionResetError."""
        if self._unread:
            data, self._unread = self._unread, b""
            return data
        return self.sock.recv(1 << 20)

    def read(self, count: int) -> bytes:
        """Exactly so many bytes."""
        while len(self._unread) < count:
            data = self.sock.recv(1 << 20)
            assert data, f"ended after {self._unread!r}, {count} bytes were wanted"
            self._unread += data
        data, self._unread = self._unread[:count], self._unread[count:]
        return data

    def read_head(self) -> bytes:
        """Up to and with the empty line."""
        while b"\r\n\r\n" not in self._unread:
            data = self.sock.recv(1 << 20)
            assert data, f"ended after {self._unread!r}, a head was wanted"
            self._unread += data
        return self.read(self._unread.index(b"\r\n\r\n") + 4)

    def read_to_end(self) -> tuple[bytes, bool]:
        """Everything, and whether it ended with a reset."""
        pieces: list[bytes] = []
        while True:
            try:
                data = self.receive()
            except ConnectionResetError:
                return b"".join(pieces), True
            if not data:
                return b"".join(pieces), False
            pieces.append(data)

    def has_nothing(self) -> bool:
        """Right now, neither bytes nor an end are waiting."""
        return not self._unread and not select.select([self.sock], [], [], 0)[0]

    def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class ScriptedUpstream:
    """A provider's address; each connection to it is the test's to play."""

    def __init__(self, name: str, receive_buffer_bytes: int | None = None) -> None:
        self.name = name
        self.accept_count = 0
        self._listener = socket.socket()
        if receive_buffer_bytes is not None:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(16)
        self._listener.settimeout(TIMEOUT_S)
        self._wires: list[Wire] = []
        self.port: int = self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def host(self) -> bytes:
        return b"127.0.0.1:%d" % self.port

    def accept(self) -> Wire:
        wire = Wire(self._listener.accept()[0])
        self.accept_count += 1
        self._wires.append(wire)
        return wire

    def was_never_called(self) -> bool:
        return self.accept_count == 0 and not select.select([self._listener], [], [], 0)[0]

    def close(self) -> None:
        """From now on, connections are refused."""
        self._listener.close()
        for wire in self._wires:
            wire.close()


class SpoolView:
    """What a recorder would find, so far."""

    def __init__(self, spool_dir: Path) -> None:
        self._follower = Follower(spool_dir, {})
        self._assembler = Assembler()
        self.records: list[Record] = []
        self.ended: list[Exchange] = []
        self.gaps: list[RecordingGap] = []

    def poll(self) -> None:
        while reads := self._follower.poll():
            for read in reads:
                for record in read.records:
                    self.records.append(record)
                    for out in self._assembler.feed(read.lane, record):
                        if isinstance(out, ExchangeEnded):
                            self.ended.append(out.exchange)
                        elif isinstance(out, RecordingGap):
                            self.gaps.append(out)

    def exchange(self, provider: str, nth: int = 0) -> Exchange:
        """The nth exchange with this provider, once it has ended."""

        def found() -> list[Exchange]:
            self.poll()
            return [exchange for exchange in self.ended if exchange.opened.provider == provider]

        wait_until(lambda: len(found()) > nth)
        return found()[nth]

    def outcome(self, provider: str, nth: int = 0) -> str:
        closed = self.exchange(provider, nth).closed
        assert closed is not None
        return closed.outcome

    def close(self) -> None:
        self._follower.close()


class RelayProcess:
    """One running relay worker."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._wires: list[Wire] = []
        self._alive_fd = -1
        self.process = self._start()
        self.spool = SpoolView(config.spool_dir)
        self.stderr = ""

    def _start(self) -> subprocess.Popen[str]:
        """The listening socket stays ours: connections wait in it until the worker accepts, also a second one."""
        if self._alive_fd >= 0:
            self.orphan()
        read_fd, self._alive_fd = os.pipe()
        fds = (self._listener.fileno(), read_fd)
        spec = WorkerSpec(config=self.config, worker=0, listen_fd=fds[0], run_id="run", alive_fd=read_fd)
        env = {**os.environ, **spec.to_env()}
        command = [sys.executable, "-m", "lunaroute.relay"]
        process = subprocess.Popen(command, env=env, pass_fds=fds, stderr=subprocess.PIPE, text=True)
        os.close(read_fd)
        return process

    def connect(self, receive_buffer_bytes: int | None = None) -> Wire:
        sock = socket.socket()
        if receive_buffer_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        sock.connect(("127.0.0.1", self.port))
        wire = Wire(sock)
        self._wires.append(wire)
        return wire

    def health(self) -> dict[str, Any]:
        client = self.connect()
        client.send(b"GET /lunaroute/health HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n")
        client.read_head()
        status: dict[str, Any] = msgspec.json.decode(client.read_to_end()[0])
        return status

    def resident_bytes(self) -> int:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("the relay is gone")

    def spool_bytes(self) -> bytes:
        return b"".join(path.read_bytes() for path in self.config.spool_dir.rglob("*") if path.is_file())

    def orphan(self) -> None:
        """What the end of the supervisor looks like."""
        os.close(self._alive_fd)
        self._alive_fd = -1

    def send_signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> None:
        """For its end, which must be a quiet one: no traceback, whatever has happened to it."""
        self.stderr += self.process.communicate(timeout=TIMEOUT_S)[1]
        assert "Traceback" not in self.stderr, self.stderr
        assert "never retrieved" not in self.stderr, self.stderr

    def restart(self) -> None:
        """After its end: a new worker on the same port and spool."""
        self.process = self._start()

    def close(self) -> None:
        for wire in self._wires:
            wire.close()
        try:
            if self.process.poll() is None:
                self.process.terminate()
            self.wait()
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.communicate()
            self._listener.close()
            if self._alive_fd >= 0:
                self.orphan()
            self.spool.close()


@contextmanager
def started(
    home: Path,
    upstreams: dict[str, str],
    server: ServerConfig | None = None,
    timeouts: TimeoutConfig | None = None,
    recording: RecordingConfig | None = None,
    tenants: TenantsConfig | None = None,
) -> Iterator[RelayProcess]:
    """A relay over these providers; ended with the block."""
    config = Config(
        home=home,
        server=server or ServerConfig(shutdown_grace_s=0.2),
        timeouts=timeouts or TimeoutConfig(),
        recording=recording or RecordingConfig(segment_bytes=SEGMENT_BYTES),
        tenants=tenants or TenantsConfig(),
        upstreams=upstreams,
    )
    relay = RelayProcess(config)
    try:
        yield relay
    finally:
        relay.close()


def wait_until(condition: Callable[[], object], timeout_s: float = TIMEOUT_S) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "the condition did not come true in time"
        time.sleep(0.005)
