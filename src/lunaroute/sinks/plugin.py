"""Sinks of others: packages that offer one under the entry point `lunaroute.sinks` (docs/sinks.md).

In: the name a sink is offered under, and its table of config.toml. Out: a sink, made by its package. What nobody
offers, and an option that the sink does not have, is a ConfigError that names the nearest right thing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import msgspec

from lunaroute.config import Config, SinkConfig
from lunaroute.config_tables import nearest
from lunaroute.errors import ConfigError
from lunaroute.events import Event

from .base import Sink

GROUP = "lunaroute.sinks"


class SinkSurroundings(msgspec.Struct, frozen=True, kw_only=True):
    """Where a sink lives."""

    name: str
    """Of its section in config.toml, [sinks.NAME]."""
    state_dir: Path
    """A private folder of its own, for what it has to remember; made when it is needed."""
    run_dir: Path
    """Where the processes tell about themselves, such as the recorder's totals."""
    sessions_dir: Path
    """The session files, for those who need more of a session than what is handed to them."""
    reject: Callable[[Event, str], None]
    """To be told of an event that can never be stored, and why: it becomes a dead letter."""


class SinkPlugin(msgspec.Struct, frozen=True, kw_only=True):
    """What an entry point of `lunaroute.sinks` names."""

    options: type[msgspec.Struct]
    """The keys of the sink's section. One without a default has to be given."""
    make: Callable[[Any, SinkSurroundings], Sink]
    """(options, surroundings) → the sink, not open yet. Raises ConfigError when the options contradict each other."""


def make_sink(wanted: SinkConfig, surroundings: SinkSurroundings) -> Sink:
    """Raises ConfigError."""
    plugin = _find(wanted.type, surroundings.name)
    return plugin.make(_options(plugin, surroundings.name, wanted.options), surroundings)


def check_sinks(config: Config) -> None:
    """That each configured sink is there and understands its options: a server must not find that out when it has
    something to write. Raises ConfigError."""
    for name, wanted in config.sinks.items():
        _options(_find(wanted.type, name), name, wanted.options)


def _find(kind: str, name: str) -> SinkPlugin:
    offered: dict[str, EntryPoint] = {point.name: point for point in entry_points(group=GROUP)}
    if kind not in offered:
        raise ConfigError(f"[sinks.{name}]: no installed package offers the sink {kind!r}{nearest(kind, offered)}")
    try:
        plugin = offered[kind].load()
    except Exception as error:  # a package of others may fail in any way
        raise ConfigError(f"[sinks.{name}]: the sink {kind!r} cannot be loaded: {error}") from error
    if not isinstance(plugin, SinkPlugin):
        raise ConfigError(f"[sinks.{name}]: {offered[kind].value} is no SinkPlugin")
    return plugin


def _options(plugin: SinkPlugin, name: str, given: Mapping[str, Any]) -> msgspec.Struct:
    known = [field.encode_name for field in msgspec.structs.fields(plugin.options)]
    for key in given:
        if key not in known:
            raise ConfigError(f"unknown key {key!r} in [sinks.{name}]{nearest(key, (*known, 'type', 'backfill'))}")
    try:
        return msgspec.convert(dict(given), plugin.options)
    except msgspec.ValidationError as error:
        raise ConfigError(f"[sinks.{name}]: {error}") from None
