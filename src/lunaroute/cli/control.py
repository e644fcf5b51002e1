"""`lunaroute stop` and `lunaroute status`."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .env import CONFIG_OPTION, HOME_OPTION

if TYPE_CHECKING:
    from lunaroute.config import Config
    from lunaroute.supervisor.instance import RecorderInfo, RunningServer

_POLL_S = 0.05
_TELL_S = 2.0
_STOP_EXTRA_S = 75.0
"""On top of the grace period: the recorder's time to finish, and some."""
_HEALTH_TIMEOUT_S = 1.0
_SILENCE_S = 15.0
"""A recorder that has not told about itself for so long is not at work."""


@click.command("stop")
@HOME_OPTION
@CONFIG_OPTION
def stop_command(home: str | None, config: str | None) -> None:
    """Stop the server, when everything that passed is recorded."""
    from lunaroute.supervisor.roles import holders

    settings = _settings(home, config)
    running = list(dict.fromkeys(pid for pid in holders(settings.run_dir).values() if pid is not None))
    if not running:
        click.echo(f"no server runs for {settings.home}")
    for pid in running:  # the relay first: what it still writes is to be recorded
        _stop(settings, pid)


def _stop(settings: Config, pid: int) -> None:
    from lunaroute.errors import LunarouteError

    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        pass
    except PermissionError:
        raise LunarouteError(f"the server (pid {pid}) belongs to another user") from None
    if not _wait_for_end(settings, pid):
        raise LunarouteError(f"the server (pid {pid}) is still stopping; see `lunaroute status`")
    click.echo(f"stopped (pid {pid})")


def _wait_for_end(config: Config, pid: int) -> bool:
    from lunaroute.supervisor.roles import holders

    began_s = time.monotonic()
    tell_at_s = began_s + _TELL_S
    deadline_s = began_s + config.server.shutdown_grace_s + _STOP_EXTRA_S
    while (now_s := time.monotonic()) < deadline_s:
        if pid not in holders(config.run_dir).values():
            return True
        if now_s >= tell_at_s:
            tell_at_s = now_s + _TELL_S
            click.echo(
                f"lunaroute: waiting for open exchanges and for the recorder ({now_s - began_s:.0f} s)", err=True
            )
        time.sleep(_POLL_S)
    return False


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.option(
    "--role",
    type=click.Choice(["relay", "recorder"]),
    help="Exit code 0 only if this part is at work: it answers, or told about itself just now.",
)
@HOME_OPTION
@CONFIG_OPTION
def status_command(as_json: bool, role: str | None, home: str | None, config: str | None) -> None:
    """Show whether the server runs and records. Exit code 0: it runs; 1: it does not."""
    status = read_status(_settings(home, config))
    if as_json:
        click.echo(json.dumps(status, indent=2))
    else:
        for line in _describe(status):
            click.echo(line)
    raise click.exceptions.Exit(0 if _is_at_work(status, role) else 1)


def _is_at_work(status: dict[str, Any], role: str | None) -> bool:
    if role == "relay":
        return bool(status["is_healthy"])
    if role == "recorder":
        silent_s = status["recording"]["silent_s"]
        return status["processes"]["recorder"] is not None and silent_s is not None and silent_s <= _SILENCE_S
    return bool(status["is_running"])


def read_status(config: Config) -> dict[str, Any]:
    """What `status --json` prints. None = not known."""
    from lunaroute.supervisor.instance import find_server, read_recorder
    from lunaroute.supervisor.roles import holders

    server = find_server(config.run_dir)
    recorder = read_recorder(config.run_dir)
    processes = holders(config.run_dir)
    return {
        "is_running": any(pid is not None for pid in processes.values()),
        "home": str(config.home),
        "pid": None if server is None else server.pid,
        "processes": processes,
        **_listening(server),
        "recording": _recording(recorder) | {"spool_disk_bytes": _spool_disk_bytes(config.spool_dir)},
        "sessions": _session_counts(config.database),
        "overhead": _overhead(config.database),
    }


def _listening(server: RunningServer | None) -> dict[str, Any]:
    from datetime import UTC, datetime

    from lunaroute.supervisor.health import base_url, relay_state

    info = None if server is None else server.info
    if info is None:
        names = ("url", "host", "port", "ui_port", "run_id", "version", "started_at", "uptime_s", "workers")
        return {"is_healthy": False, "is_recording": None, **dict.fromkeys(names)}
    state = relay_state(info.host, info.port, info.run_id, _HEALTH_TIMEOUT_S)
    uptime_s = (datetime.now(UTC) - datetime.fromisoformat(info.started_at)).total_seconds()
    return {
        "is_healthy": state is not None,
        "is_recording": None if state is None else state == "recording",
        "url": base_url(info.host, info.port),
        "host": info.host,
        "port": info.port,
        "ui_port": info.ui_port,
        "run_id": info.run_id,
        "version": info.version,
        "started_at": info.started_at,
        "uptime_s": round(uptime_s, 1),
        "workers": info.workers,
    }


def _recording(recorder: RecorderInfo | None) -> dict[str, Any]:
    from datetime import UTC, datetime

    if recorder is None:
        names = (
            "waiting_bytes",
            "exchanges_recorded",
            "unrecorded_exchanges",
            "dead_letters",
            "updated_at",
            "silent_s",
        )
        return dict.fromkeys(names)
    at_s = recorder.updated_at
    return {
        "waiting_bytes": recorder.lag_bytes,
        "exchanges_recorded": recorder.exchanges_recorded,
        "unrecorded_exchanges": recorder.unrecorded_exchanges,
        "dead_letters": recorder.dead_letters,
        "updated_at": None if at_s is None else f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
        "silent_s": None if at_s is None else round(max(0.0, time.time() - at_s), 1),
    }


def _spool_disk_bytes(spool_dir: Path) -> int:
    """Size of the segments that hold records not given back yet. They are preallocated: an upper bound."""
    from lunaroute.spool.segments import list_lanes, list_segments, segment_bytes

    lanes = [spool_dir / lane for lane in list_lanes(spool_dir)]
    return sum(segment_bytes(lane, number) for lane in lanes for number in list_segments(lane))


def _session_counts(database: Path) -> dict[str, int | None]:
    """Open sessions, and those that started on this UTC day; None when there is no index to ask."""
    import sqlite3
    from contextlib import closing

    unknown: dict[str, int | None] = {"open": None, "today": None}
    if not database.is_file():
        return unknown
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=1.0)) as index:
            row = index.execute(
                "SELECT (SELECT count(*) FROM sessions WHERE completed_at IS NULL),"
                " (SELECT count(*) FROM sessions WHERE started_at >= date('now'))"
            ).fetchone()
    except sqlite3.Error:
        return unknown
    return {"open": row[0], "today": row[1]}


def _overhead(database: Path) -> dict[str, float] | None:
    """The relay's own time; None when there is no index to ask, or nothing in it."""
    import sqlite3
    from contextlib import closing

    import msgspec

    from lunaroute.errors import LunarouteError
    from lunaroute.query.index import open_index
    from lunaroute.query.overhead import recent_overhead

    try:
        index = open_index(database)
        if index is None:
            return None
        with closing(index):
            overhead = recent_overhead(index)
    except (sqlite3.Error, LunarouteError):
        return None
    return None if overhead is None else msgspec.to_builtins(overhead)


def _describe(status: dict[str, Any]) -> list[str]:
    if not status["is_running"]:
        lines = [f"not running ({status['home']})"]
    elif status["pid"] is None:
        parts = [f"{part}, pid {pid}" for part, pid in status["processes"].items() if pid is not None]
        lines = [f"running without a relay: {'; '.join(parts)} ({status['home']})"]
    elif status["url"] is None:
        lines = [f"starting, pid {status['pid']} ({status['home']})"]
    else:
        state = "running" if status["is_healthy"] else "running, but the relay does not answer"
        if status["is_recording"] is False:
            state = "running, but the spool cannot be written, so nothing is recorded"
        lines = [
            f"{state}: {status['url']}, pid {status['pid']}, {_duration(status['uptime_s'])},"
            f" workers: {status['workers']}",
            f"home: {status['home']}",
        ]
    is_recorder_running = status["processes"]["recorder"] is not None
    if status["pid"] is not None and not is_recorder_running:
        lines.append("no recorder runs; what passes waits in the spool for `lunaroute serve --role recorder`")
    lines += _describe_recording(status["recording"], is_running=is_recorder_running)
    sessions = status["sessions"]
    if sessions["today"] is not None:
        lines.append(f"sessions: {sessions['open']:,} open, {sessions['today']:,} started today (UTC)")
    if status["overhead"] is not None:
        p50_ms, p99_ms = status["overhead"]["p50_ms"], status["overhead"]["p99_ms"]
        lines.append(
            f"the relay's own time: p50 {p50_ms:.2f} ms, p99 {p99_ms:.2f} ms"
            f" (latest {status['overhead']['count']:,} exchanges)"
        )
    return lines


def _describe_recording(recording: dict[str, Any], *, is_running: bool) -> list[str]:
    lines = []
    if recording["waiting_bytes"] is not None:
        lines.append(
            f"recording: {recording['exchanges_recorded'] or 0:,} exchanges since the recorder's start,"
            f" {recording['waiting_bytes']:,} bytes waiting in the spool"
        )
    elif recording["spool_disk_bytes"]:
        lines.append(f"recording: up to {recording['spool_disk_bytes']:,} bytes waiting in the spool")
    if is_running and (recording["silent_s"] or 0) > _SILENCE_S:
        lines.append(f"the recorder is not at work since {recording['updated_at']}; what passes waits in the spool")
    if recording["unrecorded_exchanges"]:
        lines.append(
            f"not recorded: {recording['unrecorded_exchanges']:,} exchanges; sessions/gaps.jsonl says when and why"
        )
    if recording["dead_letters"]:
        lines.append(f"dead letters: {recording['dead_letters']:,} (`lunaroute retry --list` has the reasons)")
    return lines


def _duration(seconds: float) -> str:
    """The two largest units, such as "up 2 h 5 min"."""
    minutes, rest_s = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest_s, "s")]
    first = next((place for place, (count, _) in enumerate(parts) if count), len(parts) - 1)
    return "up " + " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2])


def _settings(home: str | None, config_file: str | None) -> Config:
    from lunaroute.config_file import load_config

    return load_config({"home": home, "config": config_file}, os.environ)
