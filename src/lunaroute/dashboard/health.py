"""How the system is: relay, recorder, spool, disk, failures, and every setting with its value.

From the files that supervisor and recorder keep about themselves, and from what lies on the disk.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import msgspec

from lunaroute import __version__
from lunaroute.alerts.ledger import read_firing
from lunaroute.archive.housekeeper import HousekeeperInfo
from lunaroute.config import NEVER, Config
from lunaroute.query.filter import Filter
from lunaroute.query.stores.base import Index
from lunaroute.query.stores.opening import without_password
from lunaroute.query.usage import usage
from lunaroute.shipping.worker import read_shipping
from lunaroute.supervisor.health import base_url, is_healthy
from lunaroute.supervisor.instance import RECORDER_LOCK_FILE, find_holder, find_server, read_recorder

from .metrics import folder_bytes

State = Literal["good", "warning", "bad", "off"]

_HEALTH_TIMEOUT_S = 1.0
_SILENCE_S = 15.0
"""A recorder that has not told about itself for so long is not at work."""
_MUCH_LAG_BYTES = 64 * 1024 * 1024
_LITTLE_DISK_BYTES = 2 * 1024**3
_PRICE_PACKAGE = "genai-prices"
_OLD_PRICES = timedelta(days=90)
_SECRET = ("token", "key", "password", "secret")


class Check(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    state: State
    value: str
    """What it is, in a few words."""
    meaning: str
    """What it is for, or what to do."""


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    value: str
    is_default: bool


class Health(msgspec.Struct, frozen=True, kw_only=True):
    version: str
    home: str
    checks: list[Check]
    settings: list[Setting]

    @property
    def state(self) -> State:
        """The worst of all checks."""
        found = {check.state for check in self.checks}
        return next((state for state in ("bad", "warning", "off") if state in found), "good")


def read_health(config: Config, index: Index | None) -> Health:
    """Raises sqlite3.Error."""
    checks = [
        _relay(config),
        *_recorder(config),
        *_sinks(config),
        *_alerts(config),
        _disk(config),
        *_housekeeper(config),
        _index(config, index),
        *_last_day(index),
        _prices(),
    ]
    return Health(version=__version__, home=str(config.home), checks=checks, settings=list_settings(config))


def _relay(config: Config) -> Check:
    server = find_server(config.run_dir)
    info = None if server is None else server.info
    meaning = "Takes the traffic of clients and passes it on."
    if info is None:
        return Check(name="Relay", state="off", value="not running", meaning="`lunaroute serve` starts it.")
    where = base_url(info.host, info.port)
    if not is_healthy(info.host, info.port, info.run_id, _HEALTH_TIMEOUT_S):
        return Check(name="Relay", state="bad", value=f"{where} does not answer", meaning=f"See {config.run_dir}.")
    up = datetime.now(UTC) - datetime.fromisoformat(info.started_at)
    workers = f", {info.workers} workers" if info.workers > 1 else ""
    return Check(name="Relay", state="good", value=f"{where}, up {_span(up)}{workers}", meaning=meaning)


def _recorder(config: Config) -> list[Check]:
    recorder = read_recorder(config.run_dir)
    if recorder is None or recorder.updated_at is None:
        return [Check(name="Recorder", state="off", value="not running", meaning="`lunaroute serve` starts it.")]
    silence_s = time.time() - recorder.updated_at
    is_silent = silence_s > _SILENCE_S
    is_running = find_holder(config.run_dir, RECORDER_LOCK_FILE) is not None
    recorded = f"{recorder.exchanges_recorded or 0:,} exchanges since its start"
    lag, lost, dead = recorder.lag_bytes or 0, recorder.unrecorded_exchanges or 0, recorder.dead_letters or 0
    told = f"told about itself {_span(timedelta(seconds=silence_s))} ago"
    return [
        Check(
            name="Recorder",
            state=("bad" if is_running else "off") if is_silent else "good",
            value=told if is_silent else recorded,
            meaning="Turns what passed into sessions; traffic never waits for it.",
        ),
        Check(
            name="Spool",
            state="warning" if lag > _MUCH_LAG_BYTES else "good",
            value=f"{lag:,} bytes to record, {folder_bytes(config.spool_dir) / 1e6:,.1f} MB on disk",
            meaning="What has passed and is not recorded yet. It is on disk, and survives a crash.",
        ),
        Check(
            name="Gaps",
            state="bad" if lost else "good",
            value=f"{lost:,} exchanges passed unrecorded" if lost else "none",
            meaning="Exchanges that passed while the spool could not be written, or whose bytes in it were damaged.",
        ),
        Check(
            name="Dead letters",
            state="warning" if dead else "good",
            value=f"{dead:,}" if dead else "none",
            meaning="What could not be recorded as it should; `lunaroute retry --list` has the reasons.",
        ),
    ]


def _sinks(config: Config) -> list[Check]:
    shipping = read_shipping(config.run_dir)
    told = {} if shipping is None else shipping.sinks
    checks = []
    for name in config.sinks:
        info = told.get(name)
        if info is None:
            state: State = "off"
            value = "not running"
        else:
            state = "warning" if info.is_failing else "good"
            value = (info.is_failing and info.last_error) or f"{info.shipped_events:,} events since its start"
        meaning = "One more destination for what is recorded; while it fails, it waits in the session files."
        checks.append(Check(name=f"Sink {name}", state=state, value=value, meaning=meaning))
    return checks


def _alerts(config: Config) -> list[Check]:
    firing = read_firing(config.alerts_dir)
    checks = []
    for name, alert in config.alerts.items():
        count = len(firing.get(name, {}))
        value = "not exceeded" if not count else "exceeded" + (f" {count} times" if count > 1 else "")
        then = "Requests are refused while it is; `lunaroute alerts lift` lets them pass." if alert.block else "A rule."
        checks.append(Check(name=alert.when, state="warning" if count else "good", value=value, meaning=then))
    return checks


def _disk(config: Config) -> Check:
    folder = config.home if config.home.exists() else Path("/")
    free = shutil.disk_usage(folder).free
    return Check(
        name="Disk",
        state="warning" if free < _LITTLE_DISK_BYTES else "good",
        value=f"{free / 1e9:,.1f} GB free",
        meaning=f"Where {config.home} lies.",
    )


def _housekeeper(config: Config) -> list[Check]:
    """What it did when it looked last; nothing where it has not looked yet."""
    try:
        found = msgspec.json.decode((config.run_dir / "housekeeper.json").read_bytes(), type=HousekeeperInfo)
    except (OSError, msgspec.MsgspecError):
        return []
    done = [
        f"{count:,} {what}"
        for count, what in (
            (found.bodies_deleted, "sessions without bodies now"),
            (found.sessions_deleted, "sessions deleted"),
            (found.sums_deleted, "sums deleted"),
        )
        if count
    ]
    freed = f", {found.freed_bytes / 1e6:,.1f} MB freed" if found.freed_bytes else ""
    kept = f" {found.held_count:,} are held by pins." if found.held_count else ""
    left = f" Left alone: {'; '.join(found.left_alone[:3])}." if found.left_alone else ""
    looked = _span(timedelta(seconds=time.time() - found.updated_at))
    storage, archive = config.storage, config.archive.url
    pushed = f" Deletes nothing that was not read back from {archive} first." if archive else ""
    due = (
        ("compresses", storage.compress_after),
        ("deletes bodies", storage.delete_bodies_after),
        ("deletes sessions", storage.delete_sessions_after),
    )
    return [
        Check(
            name="Housekeeper",
            state="warning" if found.left_alone else "good",
            value=(", ".join(done) + freed) if done else "nothing was due",
            meaning=f"Looked {looked} ago; {', '.join(_due(*one) for one in due)}.{pushed}{kept}{left}",
        )
    ]


def _due(what: str, after: str) -> str:
    return f"{what} at once" if after == "0s" else f"{what} {after}" if after == NEVER else f"{what} after {after}"


def _index(config: Config, index: Index | None) -> Check:
    if index is None:
        return Check(name="Index", state="off", value="nothing recorded yet", meaning="See Set-up.")
    if config.query.store is not None:
        return Check(name="Store", state="good", value=without_password(config.query.store), meaning="What is asked.")
    size_mb = config.database.stat().st_size / 1e6
    return Check(
        name="Index",
        state="good",
        value=f"{size_mb:,.1f} MB",
        meaning=f"{config.database}; `lunaroute reindex` makes it anew from the files.",
    )


def _last_day(index: Index | None) -> list[Check]:
    if index is None:
        return []
    found = usage(index, Filter(since=datetime.now(UTC) - timedelta(days=1)))
    requests, failures, unpriced = (
        sum(getattr(one, name) for one in found) for name in ("requests", "failures", "unpriced_requests")
    )
    return [
        Check(
            name="Last 24 hours",
            state="warning" if requests and failures / requests > 0.1 else "good",
            value=f"{requests:,} exchanges, {failures:,} failed",
            meaning="How the providers answered.",
        ),
        Check(
            name="Unpriced",
            state="warning" if unpriced else "good",
            value=f"{unpriced:,} exchanges of the last 24 hours" if unpriced else "none in 24 hours",
            meaning="Exchanges of models that no price is known for; [prices] in config.toml gives them one.",
        ),
    ]


def _prices() -> Check:
    # Asked of the package's files: importing it would take 40 MB for one line.
    package = metadata.distribution(_PRICE_PACKAGE)
    age = timedelta(seconds=time.time() - Path(str(package.locate_file("genai_prices"))).stat().st_mtime)
    return Check(
        name="Prices",
        state="warning" if age > _OLD_PRICES else "good",
        value=f"{_PRICE_PACKAGE} {package.version}, installed {_span(age)} ago",
        meaning="An update of the package brings new prices; `lunaroute reprice` computes old costs again.",
    )


def list_settings(config: Config) -> list[Setting]:
    """Every setting, and whether somebody changed it. No credential is among them."""
    usual = msgspec.to_builtins(Config(home=config.home), enc_hook=str)
    current: dict[str, Any] = msgspec.to_builtins(config, enc_hook=str)
    found = []
    for section, values in current.items():
        if isinstance(values, dict):
            for key, value in values.items():
                is_default = usual[section].get(key) == value
                show = _SHOWN.get(section, lambda value, key=key: _shown(key, value))
                found.append(Setting(key=f"{section}.{key}", value=show(value), is_default=is_default))
    return found


def _alert_shown(alert: dict[str, Any]) -> str:
    """A webhook's address often is a credential."""
    ways = ", ".join(way for way in ("desktop", "webhook", "command", "block") if alert[way])
    return f"{alert['when']} ({ways or 'on record'})"


def _sink_shown(sink: dict[str, Any]) -> str:
    """Any option may hold a credential; so their names alone."""
    names = ", ".join(sorted(sink["options"])) or "no options"
    return f"{sink['type']} ({names})"


_SHOWN: dict[str, Callable[[Any], str]] = {"sinks": _sink_shown, "alerts": _alert_shown}


def _shown(key: str, value: Any) -> str:
    if any(word in key.lower() for word in _SECRET) and value:
        return "set"
    if isinstance(value, dict):
        return ", ".join(f"{name} = {one}" for name, one in value.items() if one is not None)
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _span(length: timedelta) -> str:
    seconds = max(0, round(length.total_seconds()))
    for name, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {name}"
    return f"{seconds} s"
