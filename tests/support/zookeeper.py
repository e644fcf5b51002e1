"""A ZooKeeper of the tests' own: Debian's package, one server, in a temporary folder."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.support.postgres import SCRATCH

_JARS = Path("/usr/share/java")
_NAMES = ("zookeeper", "zookeeper-jute", "slf4j-api", "slf4j-simple", "netty-all", "metrics-core", "snappy-java")
_MAIN = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
_WAIT_S = 60
_CONFIG = """tickTime=1000
dataDir={folder}/data
clientPort={port}
clientPortAddress=127.0.0.1
maxClientCnxns=0
admin.enableServer=false
4lw.commands.whitelist=srvr
"""


def has_zookeeper() -> bool:
    return shutil.which("java") is not None and (_JARS / "zookeeper.jar").exists()


class ZooKeeper:
    """Started when the block begins; its folder goes when the block ends."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="lr-zk-", dir=SCRATCH))
        self.port = free_port()
        self._as: dict[str, Any] = {"user": "nobody", "extra_groups": ()} if os.getuid() == 0 else {}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ZooKeeper:
        (self.folder / "data").mkdir()
        (self.folder / "zoo.cfg").write_text(_CONFIG.format(folder=self.folder, port=self.port))
        if self._as:
            for path in (self.folder, *self.folder.rglob("*")):
                shutil.chown(path, "nobody")
        self.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start, or start again after `kill`."""
        jars = os.pathsep.join(str(_JARS / f"{name}.jar") for name in _NAMES)
        command = ["java", "-Xmx96m", "-XX:+UseSerialGC", "-cp", jars, _MAIN, str(self.folder / "zoo.cfg")]
        with (self.folder / "out").open("ab") as out:
            self._process = subprocess.Popen(command, stdout=out, stderr=out, cwd=self.folder, **self._as)
        deadline_s = time.monotonic() + _WAIT_S
        while not self._is_well():
            if time.monotonic() > deadline_s or self._process.poll() is not None:
                raise RuntimeError((self.folder / "out").read_text(errors="replace")[-2000:])
            time.sleep(0.1)

    def kill(self) -> None:
        """SIGKILL: what was acknowledged is found at the next start."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGKILL)
            process.wait(_WAIT_S)

    def _is_well(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as asked:
                asked.sendall(b"srvr")
                with asked.makefile("rb") as answer:
                    return b"Mode: standalone" in answer.read()
        except OSError:
            return False


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
