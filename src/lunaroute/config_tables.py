"""Tables of config.toml whose names are the user's own, as [sinks.NAME]; and the words of the loader's messages."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from lunaroute.config import AlertConfig, SinkConfig
from lunaroute.errors import ConfigError

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


def checked_sink(origin: str, name: str, table: Any) -> SinkConfig:
    """[sinks.NAME]; `origin` begins messages. Which options there are is its package's to say. Raises ConfigError."""
    _check_table(origin, f"sinks.{name}", table)
    _check_name(origin, name)
    options = dict(table)
    kind, backfill = options.pop("type", name), options.pop("backfill", False)
    if not isinstance(kind, str):
        raise ConfigError(f"{origin}: type = {shown(kind)} is not the name of a sink in quotes")
    if not isinstance(backfill, bool):
        raise ConfigError(f"{origin}: backfill = {shown(backfill)} is neither true nor false")
    return SinkConfig(type=kind, backfill=backfill, options=options)


def checked_alert(origin: str, name: str, table: Any) -> AlertConfig:
    """[alerts.NAME]; what its rule means is `lunaroute.alerts.rule`'s to say. Raises ConfigError."""
    _check_table(origin, f"alerts.{name}", table)
    _check_name(origin, name)
    known = [field.name for field in msgspec.structs.fields(AlertConfig)]
    for key in table:
        if key not in known:
            raise ConfigError(f"{origin}: unknown key {key!r}{nearest(key, known, '{!r}')}")
    if "when" not in table:
        raise ConfigError(f"{origin}: say when, such as when = 'spend per day > 20'")
    try:
        return msgspec.convert(table, AlertConfig)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{origin}: {error}") from None


def _check_table(origin: str, section: str, table: Any) -> None:
    if not isinstance(table, dict):
        raise ConfigError(f"{origin}: write [{section}] and its keys below it")


def _check_name(origin: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{origin}: {name!r} is not a name; use a-z, 0-9, '_' and '-'")


def shown(value: Any) -> str:
    """A value as a message quotes it."""
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


def nearest(name: str, valid: Iterable[str], form: str = "{}") -> str:
    """The end of a message: what was probably meant, or else what there is."""
    choices = sorted(valid)
    near = difflib.get_close_matches(name, choices, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {form.format(near[0])}?"
    if len(choices) <= 12:
        return f"; valid: {', '.join(form.format(choice) for choice in choices) or 'none'}"
    return f"; the nearest is {form.format(difflib.get_close_matches(name, choices, n=1, cutoff=0)[0])}"
