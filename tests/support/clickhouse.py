"""ClickHouse for tests: Debian's server of 2018 in a temporary folder, and today's engine (chDB) behind like HTTP."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.support.postgres import SCRATCH
from tests.support.stopping import signal_all
from tests.support.zookeeper import free_port

_WAIT_S = 60

_CONFIG = """<yandex>
  <logger><level>warning</level><log>{folder}/log</log><errorlog>{folder}/errors</errorlog></logger>
  <http_port>{http}</http_port><tcp_port>{tcp}</tcp_port><listen_host>127.0.0.1</listen_host>
  <path>{folder}/data/</path><tmp_path>{folder}/tmp/</tmp_path><user_files_path>{folder}/files/</user_files_path>
  <format_schema_path>{folder}/schemas/</format_schema_path>
  <users_config>{folder}/users.xml</users_config><default_profile>default</default_profile>
  <default_database>default</default_database><mark_cache_size>67108864</mark_cache_size>
  <uncompressed_cache_size>0</uncompressed_cache_size>
  {more}
</yandex>
"""
_USERS = """<yandex>
  <profiles><default><max_memory_usage>2000000000</max_memory_usage><max_threads>2</max_threads></default></profiles>
  <users><default><password></password><networks><ip>127.0.0.1</ip></networks><profile>default</profile>
    <quota>default</quota></default></users>
  <quotas><default></default></quotas>
</yandex>
"""


class _Databases:
    """Databases of one server, each new one empty."""

    def __init__(self) -> None:
        self.port = 0
        self._count = 0

    def new_database(self) -> str:
        """Its URL."""
        self._count += 1
        name = f"store{self._count}"
        self.execute(f"CREATE DATABASE {name}")
        return f"clickhouse://127.0.0.1:{self.port}/{name}"

    def execute(self, statement: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_WAIT_S)
        try:
            connection.request("POST", "/", statement.encode())
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.status != 200:
            raise RuntimeError(text.decode(errors="replace"))
        return text


class ClickHouseServer(_Databases):
    """Debian's `clickhouse-server`. Started when the block begins; its folder goes when the block ends."""

    def __init__(self) -> None:
        super().__init__()
        self.port, self.tcp_port, self.more_config = free_port(), free_port(), ""
        self.folder = Path(tempfile.mkdtemp(prefix="lr-ch-", dir=SCRATCH))
        self._as: dict[str, Any] = {"user": "nobody", "extra_groups": ()} if os.getuid() == 0 else {}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ClickHouseServer:
        for name in ("data", "tmp", "files", "schemas"):
            (self.folder / name).mkdir()
        ports = {"http": self.port, "tcp": self.tcp_port}
        (self.folder / "config.xml").write_text(_CONFIG.format(folder=self.folder, more=self.more_config, **ports))
        (self.folder / "users.xml").write_text(_USERS)
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
        with (self.folder / "out").open("ab") as out:
            program = shutil.which("clickhouse-server") or "clickhouse-server"
            command = [program, f"--config-file={self.folder / 'config.xml'}"]
            self._process = subprocess.Popen(command, stdout=out, stderr=out, cwd=self.folder, **self._as)
        deadline_s = time.monotonic() + _WAIT_S
        while True:
            try:
                self.execute("SELECT 1")
            except (OSError, http.client.HTTPException):
                if time.monotonic() > deadline_s or self._process.poll() is not None:
                    raise RuntimeError((self.folder / "out").read_text(errors="replace")[-2000:]) from None
                time.sleep(0.1)
            else:
                return

    def kill(self) -> None:
        """SIGKILL: what was acknowledged is found at the next start."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGKILL)
            process.wait(_WAIT_S)

    def pause(self) -> None:
        """SIGSTOP to all of its processes: connections stay, and nobody answers."""
        assert self._process is not None
        signal_all(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        signal_all(self._process.pid, signal.SIGCONT)


class ChdbServer(_Databases):
    """The engine of today's ClickHouse, embedded in a process of its own, which can be ended at once."""

    def __enter__(self) -> ChdbServer:
        self._folder = tempfile.mkdtemp(prefix="lr-chdb-", dir=SCRATCH)
        command = [sys.executable, "-m", "tests.support.chdb_server", self._folder]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._process.kill()
        self._process.wait(_WAIT_S)
        if self._process.stdout is not None:
            self._process.stdout.close()
        shutil.rmtree(self._folder, ignore_errors=True)
