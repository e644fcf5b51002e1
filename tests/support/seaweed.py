"""SeaweedFS for tests: a master, a volume server, a filer and its S3 gateway, each a process that can be killed.

    with SeaweedServer(program) as server:
        …  # S3 at server.endpoint, with the keys ACCESS_KEY and SECRET_KEY
        server.kill("volume")       # what was answered before is on disk
        server.start("volume")

In: the program `weed` (`make build/seaweed/weed`). Everything listens on 127.0.0.1 only, and statistics, which a master
sends to its makers by default, are switched off.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import urllib.request
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType

from tests.support.postgres import SCRATCH
from tests.support.server import wait_until

ACCESS_KEY, SECRET_KEY = "testing", "testing-secret"
_ROLES = ("master", "volume", "filer", "s3")
_WAIT_S = 60.0
_KEYS = {
    "identities": [
        {
            "name": "tests",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
    ]
}


def seaweed_program() -> Path | None:
    """Where TEST_SEAWEED says that the program is; None where it says nothing, or there is none."""
    named = os.environ.get("TEST_SEAWEED")
    return Path(named).absolute() if named and Path(named).exists() else None


class SeaweedServer:
    """Started when the block begins; its folder goes when the block ends."""

    def __init__(self, program: Path) -> None:
        self._program = program
        self.folder = Path(tempfile.mkdtemp(prefix="lr-weed-", dir=SCRATCH))
        self._ports = _free_ports(8)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._ports[6]}"

    def volumes(self, bucket: str) -> list[Path]:
        """The files in which the bytes of a bucket's objects are."""
        return sorted((self.folder / "volume").glob(f"{bucket}_*.dat"))

    def __enter__(self) -> SeaweedServer:
        for role in _ROLES:
            (self.folder / role).mkdir()
        (self.folder / "keys.json").write_text(json.dumps(_KEYS))
        try:
            for role in _ROLES:
                self.start(role)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for role in reversed(_ROLES):
            self.kill(role)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, role: str) -> None:
        """Start `master`, `volume`, `filer` or `s3`, or start it again after `kill`; return when it can be used."""
        with (self.folder / f"{role}.log").open("ab") as log:
            command = [self._program, f"-logdir={self.folder}", "-logtostderr=true", role, *self._flags(role)]
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
        self._processes[role] = process
        with suppress(AssertionError):  # what it said is a better message
            wait_until(lambda: process.poll() is not None or self._is_ready(role), _WAIT_S)
        if process.poll() is not None or not self._is_ready(role):
            raise RuntimeError(f"{role}: {(self.folder / f'{role}.log').read_text(errors='replace')[-2000:]}")

    def kill(self, role: str) -> None:
        """SIGKILL."""
        process = self._processes.pop(role, None)
        if process is not None:
            process.send_signal(signal.SIGKILL)
            process.wait(_WAIT_S)

    def _flags(self, role: str) -> list[str]:
        master, master_grpc, volume, volume_grpc, filer, filer_grpc, s3, s3_grpc = self._ports
        here, folder = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1"], self.folder / role
        if role == "master":
            own = [f"-port={master}", f"-port.grpc={master_grpc}", f"-mdir={folder}", "-peers=none"]
            return [*here, *own, "-telemetry=false", "-volumeSizeLimitMB=64"]
        asks = f"-master=127.0.0.1:{master}.{master_grpc}"
        if role == "volume":
            own = [f"-port={volume}", f"-port.grpc={volume_grpc}", f"-dir={folder}", "-max=100", "-preStopSeconds=0"]
            return [*here, asks, *own]
        if role == "filer":
            own = [f"-port={filer}", f"-port.grpc={filer_grpc}", f"-defaultStoreDir={folder}"]
            return [*here, asks, *own, f"-localSocket={folder}/socket"]
        own = [f"-filer=127.0.0.1:{filer}.{filer_grpc}", f"-port={s3}", f"-port.grpc={s3_grpc}"]
        own += ["-port.iceberg=0", "-port.lance=0", f"-localSocket={folder}/socket"]
        return [*here, *own, f"-config={self.folder}/keys.json"]

    def _is_ready(self, role: str) -> bool:
        """It answers; a master also leads, and a volume server is known to the master."""
        master, port = (f"http://127.0.0.1:{self._ports[2 * _ROLES.index(one)]}" for one in ("master", role))
        if role == "master":
            return b'"IsLeader":true' in (_get(f"{master}/cluster/status") or b"")
        return _get(f"{port}/healthz") is not None and (role != "volume" or _get(f"{master}/dir/assign") is not None)


def _get(url: str) -> bytes | None:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            found: bytes = answer.read()
            return found
    except OSError:
        return None


def _free_ports(count: int) -> list[int]:
    """Different ones: each is held until all are found."""
    with ExitStack() as held:
        found = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in found]
