"""The process that watches the rules: looks when something was recorded, tells people, and the relay what to block."""

from __future__ import annotations

import select
import signal
import sqlite3
import sys
import time
from contextlib import closing, suppress
from datetime import datetime

import msgspec

from lunaroute.config import Config
from lunaroute.errors import LunarouteError
from lunaroute.query.changes import ChangeWatch
from lunaroute.query.index import open_index
from lunaroute.recorder.lock import is_recording
from lunaroute.relay.blocks import BLOCKS_FILE, Block
from lunaroute.sinks.totals_file import read_totals
from lunaroute.supervisor.instance import read_recorder

from .channels import Channels
from .ledger import Ledger, entry_of, put
from .readings import Reading, Sources, readings
from .rule import Rule, read_rules
from .watch import Change, Firing, Watch, block_until_s
from .words import block_line

_LOOK_S = 1.0
_POLL_S = 0.1
_LOOK_ANYWAY_S = 5.0
"""Windows move on, and the recorder tells of stalls and limits, without a change of the index."""


def run_alerts(config: Config, alive_fd: int) -> None:
    """Watch until the end of `alive_fd` and that of the recorder. Raises ConfigError, OSError."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    watched = [alive_fd] if alive_fd >= 0 else []
    alerts = Alerts(config)
    changes = ChangeWatch(config.database)
    seen, look_at_s = -1, 0.0
    try:
        while True:
            count = changes.look()
            if count != seen or time.monotonic() >= look_at_s:
                seen, look_at_s = count, time.monotonic() + _LOOK_ANYWAY_S
                alerts.look(datetime.now().astimezone())
            if select.select(watched, [], [], _LOOK_S)[0]:
                break
        while is_recording(config.recorder_dir):
            time.sleep(_POLL_S)
        alerts.look(datetime.now().astimezone())
    finally:
        changes.close()
        alerts.close()


class Alerts:
    """All rules of a home."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._rules = read_rules(config.alerts)
        self._ledger = Ledger(config.alerts_dir)
        self._watch = Watch(self._ledger.firing())
        self._channels = Channels()
        self._problem = ""
        self._blocked: list[Block] | None = None

    def look(self, now: datetime) -> None:
        """Once: ask, tell what is new, block. What cannot be asked now is asked the next time."""
        try:
            found = self._readings(now)
            for name in self._ledger.lifts():
                self._watch.lift(name)
            self._tell(self._watch.look(found, now))
            self._block(found, now)
            self._ledger.store(self._watch.firing)
            self._problem = ""
        except (OSError, sqlite3.Error, LunarouteError) as error:
            if str(error) != self._problem:
                self._problem = str(error)
                print(f"lunaroute: alerts: {error}; trying again", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Blocks stay: they end at their time, or when a rule that fires no more is looked at again."""
        self._channels.close()

    def _readings(self, now: datetime) -> list[tuple[Rule, list[Reading]]]:
        index = open_index(self._config.database)
        with suppress(OSError) if index is None else closing(index):
            sources = Sources(
                now=now,
                index=index,
                recorder=read_recorder(self._config.run_dir),
                totals=read_totals(self._config.run_dir),
            )
            return [(rule, readings(rule, sources)) for rule in self._rules]

    def _tell(self, changes: list[Change]) -> None:
        entries = [entry_of(change) for change in changes]
        if entries:
            self._ledger.add(entries)
        for change, entry in zip(changes, entries, strict=True):
            print(f"lunaroute: alert: {entry.message}", file=sys.stderr, flush=True)
            self._channels.tell(change.rule.config, entry)

    def _block(self, found: list[tuple[Rule, list[Reading]]], now: datetime) -> None:
        blocks = []
        for rule, standing in found:
            firing = self._watch.firing.get(rule.name, {})
            for reading in standing if rule.blocks else ():
                at = firing.get(reading.subject)
                if at is not None and not at.is_lifted:
                    blocks += _blocks(rule, reading, at, now)
        if blocks != self._blocked:
            put(self._config.run_dir / BLOCKS_FILE, msgspec.json.encode(blocks))
            self._blocked = blocks


def _blocks(rule: Rule, reading: Reading, firing: Firing, now: datetime) -> list[Block]:
    """None where the relay could not know whose request it is."""
    name = reading.session
    if name is not None and name.header is None and name.tag is None:
        return []
    block = Block(
        message=block_line(rule, reading.value, firing.ends_at),
        until_s=block_until_s(firing, now),
        providers=None if rule.providers is None else list(rule.providers),
    )
    if name is not None:
        block = msgspec.structs.replace(block, header=name.header, tag=name.tag)
    return [block]
