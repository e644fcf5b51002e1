"""The running server of a home, as other commands see it.

Files in `run_dir`: `server.lock`, locked for as long as the supervisor lives and holding its pid, says
*whether* a server runs (a lock cannot outlive its process, so a pid that was given to another program is never
believed); `server.json` says where it listens, from the moment the relay answers. The recorder, and a dashboard that
is a server of its own, have locks likewise (`roles`).
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from lunaroute.config import Config
from lunaroute.errors import StartError
from lunaroute.recorder.silence import SilentExchange

LOCK_FILE = "server.lock"
RECORDER_LOCK_FILE = "recorder.lock"
WEB_LOCK_FILE = "web.lock"
INFO_FILE = "server.json"
RECORDER_FILE = "recorder.json"
_LOCK_PATIENCE_S = 1.0
"""A command that looks whether a server runs holds the lock for an instant; that must not fail a start."""


class ServerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """`server.json`."""

    pid: int
    host: str
    port: int
    ui_port: int
    run_id: str
    version: str
    started_at: str
    """RFC 3339 UTC."""
    workers: int
    home: str


class RecorderInfo(msgspec.Struct, frozen=True, kw_only=True):
    """`recorder.json`, written by the recorder."""

    lag_bytes: int | None = None
    """Bytes in the spool that are not recorded yet."""
    updated_at: float | None = None
    """Unix seconds."""
    exchanges_recorded: int | None = None
    """Since the recorder started."""
    unrecorded_exchanges: int | None = None
    """Exchanges that ever passed while the spool could not be written."""
    dead_letters: int | None = None
    skipped_segments: int | None = None
    """Segments of the spool that were damaged, since the recorder started; likewise the next."""
    silent_exchanges: list[SilentExchange] = []
    """In which nothing has moved for some seconds."""
    failures: dict[str, int] = {}
    """Attempts at writing that were refused, by what was written to."""


class RunningServer(msgspec.Struct, frozen=True, kw_only=True):
    """A server that holds its home's lock."""

    pid: int
    info: ServerInfo | None
    """None while it is starting."""


def prepare_home(config: Config) -> None:
    """Create the home and its folders, private to the user. Raises StartError."""
    private = (config.run_dir, config.spool_dir, config.sessions_dir, config.recorder_dir)
    try:
        config.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in private:
            folder.mkdir(mode=0o700, exist_ok=True)
            # A home the user made is left as it is; what is recorded in it is nobody else's to read.
            folder.chmod(0o700)
            probe = folder / f".writable-{os.getpid()}"
            probe.touch(mode=0o600)
            probe.unlink()
    except OSError as error:
        raise StartError(
            f"cannot write to {error.filename or config.home}: {error.strerror}; choose another place with --home"
        ) from None


class InstanceLock:
    """Held by the one supervisor of a home, or of a part of it."""

    def __init__(self, run_dir: Path, name: str = LOCK_FILE) -> None:
        """Raises StartError when another server has it."""
        path = run_dir / name
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline_s = time.monotonic() + _LOCK_PATIENCE_S
        while not _try_lock(self._fd):
            if time.monotonic() >= deadline_s:
                os.close(self._fd)
                raise StartError(_explain_taken(run_dir, name))
            time.sleep(0.02)
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        os.close(self._fd)


def find_server(run_dir: Path) -> RunningServer | None:
    """The server with this home's relay, None when none runs."""
    pid = find_holder(run_dir, LOCK_FILE)
    if pid is None:
        return None
    info = read_info(run_dir)
    return RunningServer(pid=pid, info=info if info is not None and info.pid == pid else None)


def find_holder(run_dir: Path, name: str) -> int | None:
    """The pid of the supervisor that holds this lock, None when none does."""
    try:
        fd = os.open(run_dir / name, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if _try_lock(fd):
            return None
        text = os.pread(fd, 32, 0)
    finally:
        os.close(fd)
    if not text.isdigit():  # between locking and writing; the next look will tell
        return None
    return int(text)


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise
    return True


def _explain_taken(run_dir: Path, name: str) -> str:
    what = {RECORDER_LOCK_FILE: "recorder", WEB_LOCK_FILE: "dashboard"}.get(name, "server")
    pid = find_holder(run_dir, name)
    info = read_info(run_dir) if name == LOCK_FILE else None
    port = f", port {info.port}" if info is not None and info.pid == pid else ""
    where = f" (pid {pid}{port})" if pid is not None else ""
    return f"a {what} for {run_dir.parent} is already running{where}; `lunaroute stop` ends it"


def read_info(run_dir: Path) -> ServerInfo | None:
    """`server.json`, None when there is none or it is not ours."""
    with suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode((run_dir / INFO_FILE).read_bytes(), type=ServerInfo)
    return None


def read_recorder(run_dir: Path) -> RecorderInfo | None:
    """`recorder.json`, None when there is none."""
    with suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode((run_dir / RECORDER_FILE).read_bytes(), type=RecorderInfo)
    return None


def write_info(run_dir: Path, info: ServerInfo) -> None:
    """Put `server.json` in place in one step."""
    aside = run_dir / f"{INFO_FILE}.new"
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(msgspec.json.encode(info))
    os.replace(aside, run_dir / INFO_FILE)


def remove_info(run_dir: Path) -> None:
    with suppress(OSError):
        (run_dir / INFO_FILE).unlink()
