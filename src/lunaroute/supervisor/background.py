"""A server in the background: found, or started detached and waited for.

In: the settings and the command that starts a server. Out: a `ServerInfo` whose relay answers, or a StartError.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from lunaroute.config import Config
from lunaroute.errors import StartError

from .health import is_healthy
from .instance import ServerInfo, find_server, prepare_home
from .roles import parts_of

LOG_FILE = "server.log"
START_WAIT_S = 10.0
_MAX_LOG_BYTES = 4 * 1024 * 1024
_LAST_LINES = 15
_POLL_S = 0.05
_HEALTH_TIMEOUT_S = 1.0


def ensure_running(
    config: Config,
    command: Sequence[str],
    tell: Callable[[str], None],
    wait_s: float = START_WAIT_S,
) -> ServerInfo:
    """The server of this home; `command` starts one when there is none.

    `tell` gets lines for a person. Raises StartError when no server answers within `wait_s`.
    """
    prepare_home(config)
    deadline_s = time.monotonic() + wait_s
    pid: int | None = None
    log = config.run_dir / LOG_FILE
    log_start = 0
    if find_server(config.run_dir) is None:
        if not parts_of(config.server.role).relay:
            raise StartError(f"no relay runs for {config.home}, and server.role = {config.server.role} starts none")
        tell(f"starting a server for {config.home}")
        log_start = _make_room(log)
        pid = _start_detached(command, log)
    while time.monotonic() < deadline_s:
        info = _answering(config.run_dir)
        if info is not None:
            return info
        if pid is not None and _has_ended(pid):
            # Another command may have started one in the same moment; then ours gave way to it.
            pid = None
            if find_server(config.run_dir) is None:
                break
        time.sleep(_POLL_S)
    for line in _last_lines(log, log_start):
        tell(line)
    raise StartError(_explain(config, pid is not None or find_server(config.run_dir) is not None, wait_s))


def _answering(run_dir: Path) -> ServerInfo | None:
    server = find_server(run_dir)
    if server is None or server.info is None:
        return None
    info = server.info
    return info if is_healthy(info.host, info.port, info.run_id, _HEALTH_TIMEOUT_S) else None


def _explain(config: Config, is_there: bool, wait_s: float) -> str:
    log = config.run_dir / LOG_FILE
    if is_there:
        return f"the server did not answer within {wait_s:g} s; see {log}"
    return f"the server did not start; see {log}"


def _start_detached(command: Sequence[str], log: Path) -> int:
    """Start `command` in a session of its own, without a terminal. Returns its pid."""
    log_fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        return os.posix_spawn(
            command[0],
            list(command),
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, log_fd, 1),
                (os.POSIX_SPAWN_DUP2, log_fd, 2),
            ],
            setsid=True,
        )
    except OSError as error:
        raise StartError(f"{command[0]} cannot be started: {error.strerror}") from None
    finally:
        os.close(log_fd)


def _has_ended(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def _make_room(log: Path) -> int:
    """Put a long log aside. Returns where the next start's lines begin."""
    try:
        size_bytes = log.stat().st_size
        if size_bytes <= _MAX_LOG_BYTES:
            return size_bytes
        os.replace(log, log.with_name(f"{LOG_FILE}.1"))
    except FileNotFoundError:
        pass
    return 0


def _last_lines(log: Path, start: int) -> list[str]:
    with suppress(OSError), log.open("rb") as file:
        file.seek(start)
        return [line.decode(errors="replace") for line in file.read().splitlines()[-_LAST_LINES:]]
    return []


def serve_command(home: Path, config_file: str | None) -> list[str]:
    """The command that serves this home in the background; other settings come with the environment."""
    command = [sys.executable, "-P", "-m", "lunaroute", "serve", "--home", str(home)]
    if config_file is not None:
        command += ["--config", str(Path(config_file).expanduser().absolute())]
    return command
