"""[io] The recorder's process: opens everything, steps until told to stop and nothing is left, reports how it goes."""

from __future__ import annotations

import os
import select
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from lunaroute.config import Config
from lunaroute.errors import StartError
from lunaroute.events.types import Event
from lunaroute.redact.settings import RedactionSettings, redaction_key
from lunaroute.relay.salt import load_salt
from lunaroute.sinks.base import Sink
from lunaroute.sinks.feed import FeedSink
from lunaroute.sinks.jsonl import JsonlSink
from lunaroute.sinks.sqlite.sink import SqliteSink
from lunaroute.sinks.totals_file import TOTALS_FILE

from .dead_letter import DeadLetter, DeadLetters
from .endings import EndRequests
from .gaps import GapFile
from .live_view import LiveView
from .lock import take_lock
from .pipeline_state import PipelineSettings
from .recorder import Recorder
from .relearn import JOURNAL_ERRORS, open_journal, set_aside

_IDLE_S = (0.005, 0.01, 0.02, 0.05)
"""Pause after so many empty reads: quick while traffic flows, cheap when none does."""
_STATUS_S = 1.0


def run_recorder(config: Config, alive_fd: int) -> None:
    """Record until SIGTERM or the end of `alive_fd`, then until the spool is empty and nobody writes to it. A recorder
    apart from its relays (`--role recorder`) does not wait for them: they go on without it."""
    stop_read, stop_write = os.pipe()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os.write(stop_write, b"x"))
    watched = [stop_read] if alive_fd < 0 else [stop_read, alive_fd]
    lock = take_lock(config.recorder_dir)
    dead_letters = DeadLetters(config.recorder_dir / "dead-letter")
    recorder = open_recorder(config, dead_letters)
    live = LiveView(config.live_socket, recorder, config.own_prices, is_withheld=config.redaction.mode != "off")
    try:
        _loop(config, recorder, live, dead_letters, watched)
    finally:
        live.close()
        recorder.close()
        os.close(lock)


def open_recorder(config: Config, dead_letters: DeadLetters) -> Recorder:
    """A recorder over this home's spool, journal and sinks, going on from where the last one was. Raises StartError."""
    index = SqliteSink(config.database, config.sessions_dir, _rejected_by("sqlite", dead_letters))
    sinks: list[Sink] = [JsonlSink(config.sessions_dir, _rejected_by("jsonl", dead_letters)), index]
    feed = FeedSink(config.feed_dir)
    for sink in (*sinks, feed):
        try:
            sink.open()
        except (OSError, sqlite3.Error) as error:
            raise StartError(f"cannot open the {sink.name} sink: {error}") from error
    settings = _settings(config)
    path = config.recorder_dir / "journal.db"

    def over_journal() -> Recorder:
        is_shredding = settings.redaction is not None
        journal = open_journal(path, config.spool_dir, index, is_shredding=is_shredding)
        try:
            gaps = GapFile(config.sessions_dir / "gaps.jsonl")
            end_requests = EndRequests(config.recorder_dir)
            return Recorder(config.spool_dir, journal, settings, sinks, feed, dead_letters, gaps, end_requests)
        except BaseException:
            journal.close()
            raise

    try:
        return over_journal()
    except JOURNAL_ERRORS as error:
        set_aside(path, error)
        return over_journal()


def _settings(config: Config) -> PipelineSettings:
    sessions = config.sessions
    return PipelineSettings(
        idle_timeout_ns=int(sessions.idle_timeout_s * 1e9),
        snapshot_every_exchanges=sessions.snapshot_every_exchanges,
        snapshot_every_ns=int(sessions.snapshot_every_s * 1e9),
        own_prices=config.own_prices,
        node=config.server.node,
        redaction=_redaction(config),
    )


def _redaction(config: Config) -> RedactionSettings | None:
    wanted = config.redaction
    if wanted.mode == "off":
        return None
    key = redaction_key(load_salt(config.home))
    return RedactionSettings(mode=wanted.mode, rules=wanted.rules, patterns=wanted.patterns, key=key)


def _rejected_by(sink: str, dead_letters: DeadLetters) -> Callable[[Event, str], None]:
    """What a sink does with an event that it cannot store."""

    def reject(event: Event, reason: str) -> None:
        letter = DeadLetter(reason=f"{sink}: {reason}", event=event)
        print(f"lunaroute: {sink}: event {letter.name} was rejected: {reason}", file=sys.stderr, flush=True)
        dead_letters.add(letter)

    return reject


def _loop(config: Config, recorder: Recorder, live: LiveView, dead_letters: DeadLetters, watched: list[int]) -> None:
    idle_steps = 0
    status_at = 0.0
    is_stopping = False
    is_apart = config.server.role == "recorder"
    while True:
        if recorder.step():
            idle_steps = 0
        elif is_stopping and (recorder.is_drained() or (is_apart and recorder.has_writers())):
            break
        else:
            pause_s = _IDLE_S[min(idle_steps // 20, len(_IDLE_S) - 1)]
            idle_steps += 1
            if is_stopping:
                time.sleep(pause_s)
            else:
                ready = select.select([*watched, *live.fds()], [], [], live.pause_s(pause_s))[0]
                is_stopping = any(fd in watched for fd in ready)
        live.tell()
        if time.monotonic() >= status_at:
            status_at = time.monotonic() + _STATUS_S
            _write_status(config.run_dir, recorder, dead_letters)
    recorder.checkpoint()
    _write_status(config.run_dir, recorder, dead_letters)


def _write_status(run_dir: Path, recorder: Recorder, dead_letters: DeadLetters) -> None:
    """`recorder.json`, for `lunaroute status`; and `totals.json`, for metrics."""
    status = {
        "pid": os.getpid(),
        "updated_at": time.time(),
        "lag_bytes": recorder.follower.lag_bytes(),
        "skipped_segments": recorder.follower.skipped_segments,
        "dead_letters": dead_letters.count,
        "unrecorded_exchanges": recorder.gaps.unrecorded_exchanges,
        "silent_exchanges": recorder.silent_exchanges(),
        **msgspec.structs.asdict(recorder.counts),
    }
    with suppress(OSError):  # a full disk must not stop the recorder over its own status
        run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        _put(run_dir / "recorder.json", msgspec.json.encode(status))
        _put(run_dir / TOTALS_FILE, msgspec.json.encode(recorder.totals))


def _put(path: Path, data: bytes) -> None:
    aside = path.with_name(f"{path.name}.new")
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
    os.replace(aside, path)
