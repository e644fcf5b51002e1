"""The life of one `lunaroute serve`: start, keep alive, stop in order.

In: the settings. Out: what the role asks for of relay workers that take the traffic, one recorder and one dashboard,
and `server.json` while the relay can be used. The invariant: from the first connection to the last, a listening socket
is open, whoever of the children dies; and the recorder is stopped only after every relay of this server has written its
last record.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime

import msgspec

from lunaroute import __version__
from lunaroute.capture.ids import uuid7
from lunaroute.config import Config
from lunaroute.errors import StartError

from .announce import announcement
from .child import Child
from .health import HealthProbe
from .instance import InstanceLock, ServerInfo, prepare_home, read_info, read_recorder, remove_info, write_info
from .limits import allow_many_files
from .listeners import bind_listeners
from .roles import Parts, parts_of
from .signals import SignalWatch
from .spec import WorkerSpec

# -P: the folder in which the user happens to stand must not provide modules.
RELAY_COMMAND = (sys.executable, "-P", "-m", "lunaroute.relay")
RECORDER_COMMAND = (sys.executable, "-P", "-m", "lunaroute.recorder")
DASHBOARD_COMMAND = (sys.executable, "-P", "-m", "lunaroute.dashboard")
HOUSEKEEPER_COMMAND = (sys.executable, "-P", "-m", "lunaroute.archive")
SHIPPER_COMMAND = (sys.executable, "-P", "-m", "lunaroute.shipping")
ALERTS_COMMAND = (sys.executable, "-P", "-m", "lunaroute.alerts")

RECORDER_NICENESS = 5
DASHBOARD_NICENESS = 5
SHIPPER_NICENESS = 5
ALERTS_NICENESS = 5
HOUSEKEEPER_NICENESS = 19
RECORDER_DRAIN_S = 60.0
HURRIED_DRAIN_S = 5.0
DASHBOARD_STOP_S = 3.0
SHIPPER_STOP_S = 5.0
RELAY_EXTRA_S = 3.0
"""On top of the grace period, which the relays keep themselves."""
MAX_SHORT_LIVES = 5
"""A relay that ends this often in a row before the first answer will not start at all."""
_CRASH_PATIENCE_S = 10.0
_PROBE_AGAIN_S = 0.1
_TELL_FIRST_S = 1.0
_TELL_AGAIN_S = 5.0


def serve(
    config: Config,
    relay_command: Sequence[str] = RELAY_COMMAND,
    recorder_command: Sequence[str] = RECORDER_COMMAND,
    dashboard_command: Sequence[str] = DASHBOARD_COMMAND,
    housekeeper_command: Sequence[str] = HOUSEKEEPER_COMMAND,
) -> None:
    """Serve until SIGTERM or SIGINT. Raises StartError when that is not possible."""
    allow_many_files()
    if config.sinks:
        from lunaroute.sinks.plugin import check_sinks  # it brings the packages of others with it

        check_sinks(config)
    prepare_home(config)
    parts = parts_of(config.server.role)
    commands = Commands(
        relay=relay_command, recorder=recorder_command, dashboard=dashboard_command, housekeeper=housekeeper_command
    )
    with ExitStack() as at_end:
        for name in parts.lock_files:
            at_end.callback(InstanceLock(config.run_dir, name).release)
        if parts.recorder and not config.alerts:
            (config.run_dir / "blocks.json").unlink(missing_ok=True)  # of rules that nobody wants any more
        listeners = []
        if parts.relay:
            at_end.callback(remove_info, config.run_dir)
            listeners = _bind_relays(config)
        Supervisor(config, listeners, _bind_dashboard(config, parts), commands).run()


class Commands(msgspec.Struct, frozen=True, kw_only=True):
    """What the children are started with."""

    relay: Sequence[str]
    recorder: Sequence[str]
    dashboard: Sequence[str]
    housekeeper: Sequence[str]


def _bind_relays(config: Config) -> list[socket.socket]:
    # With server.json still there the last supervisor was killed, and its relays may be about to stop.
    patience_s = _CRASH_PATIENCE_S if read_info(config.run_dir) is not None else 0.0
    remove_info(config.run_dir)
    server = config.server
    return bind_listeners(server.host, server.port, server.workers, patience_s)


def _bind_dashboard(config: Config, parts: Parts) -> socket.socket | None:
    """None = there will be no dashboard: it is not wanted, or cannot listen, which is no reason not to relay."""
    if not parts.web or not config.dashboard.enabled:
        return None
    try:
        return bind_listeners(config.dashboard.host, config.server.ui_port, 1, port_flag="--ui-port")[0]
    except StartError as error:
        if not parts.relay:
            raise
        _say(f"no dashboard: {error}")
        return None


class Supervisor:
    """The children of one server, and what keeps them going."""

    def __init__(
        self,
        config: Config,
        listeners: list[socket.socket],
        dashboard_listener: socket.socket | None,
        commands: Commands,
    ) -> None:
        port = listeners[0].getsockname()[1] if listeners else config.server.port
        ui_port = config.server.ui_port if dashboard_listener is None else dashboard_listener.getsockname()[1]
        server = msgspec.structs.replace(config.server, port=port, ui_port=ui_port)
        self._config = msgspec.structs.replace(config, server=server)
        self._listeners = listeners
        self._run_id = uuid7(time.time_ns() // 1_000_000, os.urandom(10))
        self._started_at = datetime.now(UTC)
        self._alive_read_fd, self._alive_write_fd = os.pipe()
        self._relays = [
            self._child(f"relay worker {number}", commands.relay, number, listener.fileno())
            for number, listener in enumerate(listeners)
        ]
        # Of these there is one each, or none.
        self._recorders: list[Child] = []
        self._housekeepers: list[Child] = []
        self._dashboards: list[Child] = []
        if parts_of(config.server.role).recorder:
            self._recorders.append(self._child("recorder", commands.recorder, -1, -1, RECORDER_NICENESS))
            self._housekeepers.append(self._child("housekeeper", commands.housekeeper, -1, -1, HOUSEKEEPER_NICENESS))
        if dashboard_listener is not None:
            fd = dashboard_listener.fileno()
            self._dashboards.append(self._child("dashboard", commands.dashboard, -1, fd, DASHBOARD_NICENESS))
        self._dashboard_listener = dashboard_listener
        self._shippers: list[Child] = []
        if config.sinks and self._recorders:
            self._shippers.append(self._child("shipper", SHIPPER_COMMAND, -1, -1, SHIPPER_NICENESS))
        self._alerts: list[Child] = []
        if config.alerts and self._recorders:
            self._alerts.append(self._child("alerts", ALERTS_COMMAND, -1, -1, ALERTS_NICENESS))
        self._signals = SignalWatch()
        self._probe: HealthProbe | None = None
        self._probe_at_s: float | None = 0.0 if listeners else None
        """When to probe; None once the relay has answered, and where there is none."""

    def run(self) -> None:
        """Until a request to stop. Raises StartError when the relay does not come up."""
        with self._signals:
            try:
                if not self._relays:
                    self._announce()
                self._keep_running()
            finally:
                # It may be cut at any point, and would only take time from those who have something to write.
                for housekeeper in self._housekeepers:
                    housekeeper.signal(signal.SIGTERM)
                self._stop_relays()
                self._stop_recorder()
                self._stop_beside()
                self._stop_dashboard()
                self._kill(self._housekeepers)
                os.close(self._alive_read_fd)

    def _child(self, name: str, command: Sequence[str], worker: int, listen_fd: int, niceness: int = 0) -> Child:
        spec = WorkerSpec(
            config=self._config,
            worker=worker,
            listen_fd=listen_fd,
            run_id=self._run_id,
            alive_fd=self._alive_read_fd,
        )
        fds = [fd for fd in (listen_fd, self._alive_read_fd) if fd >= 0]
        return Child(name, command, spec.to_env(), fds, niceness)

    @property
    def _children(self) -> list[Child]:
        beside = (*self._dashboards, *self._shippers, *self._alerts, *self._housekeepers)
        return [*self._relays, *self._recorders, *beside]

    def _keep_running(self) -> None:
        while not self._signals.stop_requests:
            now_s = time.monotonic()
            self._start_due_children(now_s)
            self._begin_probe(now_s)
            if self._signals.wait(self._time_to_next_task_s(), self._probe):
                self._read_probe()

    def _start_due_children(self, now_s: float) -> None:
        for child in self._children:
            line = child.reap(now_s)
            if line is not None:
                _log(line)
            if child.start_at_s is not None and child.start_at_s <= now_s:
                line = child.start(now_s)
                if line is not None:
                    _log(line)
        is_starting = self._probe_at_s is not None or self._probe is not None
        if is_starting and any(relay.short_lives >= MAX_SHORT_LIVES for relay in self._relays):
            raise StartError("the relay does not start; the lines above say why")

    def _time_to_next_task_s(self) -> float | None:
        times = [child.start_at_s for child in self._children]
        if self._probe is None:
            times.append(self._probe_at_s)
        due = [at_s for at_s in times if at_s is not None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _begin_probe(self, now_s: float) -> None:
        if self._probe is not None or self._probe_at_s is None or self._probe_at_s > now_s:
            return
        try:
            self._probe = HealthProbe(self._config.server.host, self._config.server.port, self._run_id)
        except OSError:
            self._probe_at_s = now_s + _PROBE_AGAIN_S

    def _read_probe(self) -> None:
        answer = self._probe.read() if self._probe is not None else None
        if answer is None:
            return
        self._end_probe()
        if answer:
            self._probe_at_s = None
            self._become_ready()
        else:  # the worker that had taken the connection ended
            self._probe_at_s = time.monotonic() + _PROBE_AGAIN_S

    def _end_probe(self) -> None:
        if self._probe is not None:
            self._probe.close()
            self._probe = None

    def _become_ready(self) -> None:
        server = self._config.server
        info = ServerInfo(
            pid=os.getpid(),
            host=server.host,
            port=server.port,
            ui_port=server.ui_port,
            run_id=self._run_id,
            version=__version__,
            started_at=self._started_at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            workers=server.workers,
            home=str(self._config.home),
        )
        try:
            write_info(self._config.run_dir, info)
        except OSError as error:
            raise StartError(f"cannot write {self._config.run_dir}: {error.strerror}") from None
        self._announce()

    def _announce(self) -> None:
        for line in announcement(self._config, os.getpid(), has_dashboard=bool(self._dashboards)):
            _say(line)

    def _stop_relays(self) -> None:
        self._end_probe()
        for listener in self._listeners:
            listener.close()
        for relay in self._relays:
            relay.signal(signal.SIGTERM)
        wait_s = self._config.server.shutdown_grace_s + RELAY_EXTRA_S
        if not self._wait_for_end(self._relays, wait_s, lambda: "waiting for open exchanges; Ctrl-C cuts them"):
            self._kill(self._relays)

    def _stop_recorder(self) -> None:
        wait_s = HURRIED_DRAIN_S if self._signals.stop_requests > 1 else RECORDER_DRAIN_S
        now_s = time.monotonic()
        for recorder in self._recorders:
            recorder.reap(now_s)
            if not recorder.is_running:  # it had ended; what passed since is to be recorded all the same
                recorder.start(now_s)
        # No signal: it would kill a recorder that is still starting, and what passed would wait for the next server.
        os.close(self._alive_write_fd)
        if not self._wait_for_end(self._recorders, wait_s, self._recorder_backlog):
            self._kill(self._recorders)
            _say("the recorder was cut; what it has not written yet is in the spool, for the next start")

    def _stop_dashboard(self) -> None:
        """It ends by itself when the supervisor's pipe does, as the recorder; it gets no more time than a moment."""
        if self._dashboard_listener is not None:
            self._dashboard_listener.close()
        if not self._wait_for_end(self._dashboards, DASHBOARD_STOP_S, lambda: "waiting for the dashboard"):
            self._kill(self._dashboards)

    def _stop_beside(self) -> None:
        """Shipper and alerts end by themselves when the recorder has, and have got the last events then; what a sink
        does not take in time it gets after the next start."""
        beside = [*self._shippers, *self._alerts]
        if not self._wait_for_end(beside, SHIPPER_STOP_S, lambda: "waiting for sinks and alerts"):
            self._kill(beside)

    def _recorder_backlog(self) -> str:
        recorder = read_recorder(self._config.run_dir)
        known = recorder is not None and recorder.lag_bytes is not None
        rest = f", {recorder.lag_bytes:,} bytes to go" if recorder is not None and known else ""
        return f"waiting for the recorder to write what passed{rest}"

    def _wait_for_end(self, children: list[Child], wait_s: float, tell: Callable[[], str]) -> bool:
        """False when the time, or the patience of the person at the keyboard, is over first."""
        asked = self._signals.stop_requests
        now_s = time.monotonic()
        deadline_s, tell_at_s = now_s + wait_s, now_s + _TELL_FIRST_S
        while True:
            now_s = time.monotonic()
            for child in children:
                child.reap(now_s)
            if not any(child.is_running for child in children):
                return True
            if now_s >= deadline_s or self._signals.stop_requests > asked:
                return False
            if now_s >= tell_at_s:
                tell_at_s = now_s + _TELL_AGAIN_S
                _say(tell())
            self._signals.wait(max(0.0, min(deadline_s, tell_at_s) - now_s))

    def _kill(self, children: list[Child]) -> None:
        for child in children:
            child.signal(signal.SIGKILL)
        while any(child.is_running for child in children):
            for child in children:
                child.reap(time.monotonic())
            self._signals.wait(_PROBE_AGAIN_S)


def _say(line: str) -> None:
    with suppress(OSError, ValueError):  # the terminal is gone; the server is not
        print(f"lunaroute: {line}", file=sys.stderr, flush=True)


def _log(line: str) -> None:
    _say(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%SZ} {line}")
