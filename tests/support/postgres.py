"""A PostgreSQL server of the tests' own: in a temporary folder, on a Unix socket, as a user without rights."""

from __future__ import annotations

import glob
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.support.stopping import signal_all

_WAIT_S = 60
SCRATCH = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Servers write many small files, and sockets need short paths."""


def find_postgres() -> Path | None:
    """The folder of `initdb` and `postgres`, the newest there is."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += [Path(one).parent for one in sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), reverse=True)]
    return next((folder for folder in folders if (folder / "postgres").exists()), None)


class PostgresServer:
    """Started when the block begins; its folder goes when the block ends."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self.folder = Path(tempfile.mkdtemp(prefix="lr-pg-", dir=SCRATCH))
        self._as = {"user": "nobody", "extra_groups": ()} if os.getuid() == 0 else {}
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0

    def __enter__(self) -> PostgresServer:
        if self._as:
            shutil.chown(self.folder, "nobody")
        self._run(
            "initdb", "-D", str(self.folder / "data"), "-U", "lunaroute", "-A", "trust", "--no-sync", "-E", "UTF8"
        )
        self.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start, or start again after `kill`."""
        options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={self.folder}", "-c", "fsync=off"]
        options += ["-c", "full_page_writes=off", "-c", "max_connections=20", "-c", "shared_buffers=64MB"]
        log = (self.folder / "log").open("ab")
        self._process = subprocess.Popen(
            [self._programs / "postgres", "-D", self.folder / "data", *options],
            stdout=log,
            stderr=log,
            cwd=self.folder,
            **self._as,  # type: ignore[call-overload]
        )
        log.close()
        self._run("pg_isready", "-h", str(self.folder), "-t", str(_WAIT_S), "-d", "postgres", tries=_WAIT_S * 10)

    def kill(self) -> None:
        """SIGQUIT: immediate, without a checkpoint; what was committed is found in the log at the next start."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGQUIT)
            process.wait(_WAIT_S)

    def pause(self) -> None:
        """SIGSTOP to all of its processes: connections stay, and nobody answers."""
        assert self._process is not None
        signal_all(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        signal_all(self._process.pid, signal.SIGCONT)

    def new_database(self) -> str:
        """The URL of an empty database."""
        self._databases += 1
        name = f"store{self._databases}"
        self._run("createdb", "-h", str(self.folder), "-U", "lunaroute", "-T", "template0", name)
        return self.url(name)

    def url(self, database: str) -> str:
        return f"postgresql://lunaroute@/{database}?host={self.folder}"

    def _run(self, program: str, *arguments: str, tries: int = 1) -> None:
        import time

        for left in range(tries - 1, -1, -1):
            done: subprocess.CompletedProcess[Any] = subprocess.run(
                [self._programs / program, *arguments],
                capture_output=True,
                text=True,
                cwd=self.folder,
                check=False,
                **self._as,  # type: ignore[call-overload]
            )
            if done.returncode == 0:
                return
            if left:
                time.sleep(0.1)
        raise RuntimeError(f"{program}: {done.stderr or done.stdout}")
