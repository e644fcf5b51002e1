"""The loader of settings: flags > environment > config.toml > defaults.

In: flags, the environment, and `<home>/config.toml` (or what --config or LUNAROUTE_CONFIG names). Out: one frozen
`Config`, or a ConfigError of one line that names where a wrong value came from, the key, and the nearest valid one.

Every key of a section has the variable LUNAROUTE_<SECTION>_<KEY>; those of [server] also the short LUNAROUTE_<KEY>.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin
from urllib.parse import urlsplit

import msgspec

from lunaroute.config import (
    DEFAULT_UPSTREAMS,
    NEVER,
    ArchiveConfig,
    Config,
    DashboardConfig,
    EncryptionConfig,
    PriceConfig,
    QueryConfig,
    RecordingConfig,
    RedactionConfig,
    ServerConfig,
    SessionsConfig,
    Span,
    StorageConfig,
    TenantsConfig,
    TimeoutConfig,
)
from lunaroute.config_checks import check_clocks, check_quota, checked_redaction, checked_rules, checked_tenants
from lunaroute.config_tables import checked_alert, checked_sink, nearest, shown
from lunaroute.errors import ConfigError

DEFAULT_HOME = "~/.lunaroute"
CONFIG_FILE_NAME = "config.toml"
PREFIX = "LUNAROUTE_"
INTERNAL_VARIABLES = frozenset({"LUNAROUTE_WORKER", "LUNAROUTE_CORPUS"})
"""Ours, but not settings: what the supervisor tells a child, and where tests find their data."""

_SECTIONS: dict[str, type[msgspec.Struct]] = {
    "server": ServerConfig,
    "timeouts": TimeoutConfig,
    "recording": RecordingConfig,
    "sessions": SessionsConfig,
    "redaction": RedactionConfig,
    "dashboard": DashboardConfig,
    "storage": StorageConfig,
    "archive": ArchiveConfig,
    "tenants": TenantsConfig,
    "encryption": EncryptionConfig,
    "query": QueryConfig,
}
_FIELDS = {name: {field.name: field for field in msgspec.structs.fields(kind)} for name, kind in _SECTIONS.items()}
_UPSTREAMS = "upstreams"
_PRICES = "prices"
_SINKS = "sinks"
_ALERTS = "alerts"
_ALL_SECTIONS = (*_SECTIONS, _UPSTREAMS, _PRICES, _SINKS, _ALERTS)
_NAMED_BY_VARIABLES = (_UPSTREAMS, _SINKS, _ALERTS)
"""Sections whose keys are names that the user chooses, and a variable may end with."""
_PRICE_UNITS = tuple(field.name for field in msgspec.structs.fields(PriceConfig))

_LIMITS: dict[tuple[str, str], tuple[float, float]] = {
    ("server", "port"): (0, 65535),
    ("server", "ui_port"): (0, 65535),
    ("server", "workers"): (1, 256),
    ("server", "max_head_bytes"): (1024, 16 * 1024 * 1024),
    ("server", "shutdown_grace_s"): (0, math.inf),
    ("recording", "fsync_ms"): (0, math.inf),
    ("recording", "segment_bytes"): (65536, 2**31),
    ("recording", "spool_max_bytes"): (0, math.inf),
    ("storage", "max_bytes"): (0, math.inf),
}
_SMALLEST_DURATION_S = 0.001
_SPAN = re.compile(rf"{NEVER}|\d+[smhdwy]", re.ASCII)
_UPSTREAM_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_RESERVED_NAMES = frozenset({"v1", "v1beta", "v1alpha", "s", "upload", "responses", "lunaroute"})
"""First path segments that mean something else to the relay's router."""


class _Setting(msgspec.Struct, frozen=True):
    """One value as somebody wrote it."""

    section: str
    key: str
    value: Any
    origin: str
    """File and key, variable or flag, for messages."""


def load_config(flags: Mapping[str, Any], environ: Mapping[str, str]) -> Config:
    """The settings in force.

    `flags` holds `home`, `config`, `upstream` (a sequence of "NAME=URL") and any key of [server]; None = not given.
    Raises ConfigError.
    """
    home = _path(flags.get("home") or environ.get("LUNAROUTE_HOME") or DEFAULT_HOME, environ)
    settings: dict[tuple[str, str], _Setting] = {}
    for source in (_from_file(_file(flags, environ, home)), _from_environ(environ), _from_flags(flags)):
        settings.update({(setting.section, setting.key): setting for setting in source})
    values: dict[str, dict[str, Any]] = {name: {} for name in _ALL_SECTIONS}
    for setting in settings.values():
        values[setting.section][setting.key] = _checked(setting)
    upstreams = DEFAULT_UPSTREAMS | values[_UPSTREAMS]
    for setting in settings.values():
        if setting.section == _PRICES:
            _check_provider(setting, upstreams)
    server, recording = ServerConfig(**values["server"]), RecordingConfig(**values["recording"])
    check_quota(recording, server.workers)
    storage = StorageConfig(**values["storage"])
    check_clocks(storage)
    return Config(
        home=home,
        server=server,
        timeouts=TimeoutConfig(**values["timeouts"]),
        recording=recording,
        sessions=SessionsConfig(**values["sessions"]),
        redaction=checked_redaction(RedactionConfig(**values["redaction"])),
        dashboard=DashboardConfig(**values["dashboard"]),
        storage=storage,
        archive=ArchiveConfig(**values["archive"]),
        tenants=checked_tenants(TenantsConfig(**values["tenants"])),
        encryption=_absolute(EncryptionConfig(**values["encryption"]), environ),
        query=QueryConfig(**values["query"]),
        upstreams=upstreams,
        prices=values[_PRICES],
        sinks=values[_SINKS],
        alerts=checked_rules(values[_ALERTS]),
    )


def _path(text: str | Path, environ: Mapping[str, str]) -> Path:
    """An absolute path; a leading `~` is the home folder that `environ` names."""
    path = Path(text)
    if path.parts[:1] == ("~",) and environ.get("HOME"):
        path = Path(environ["HOME"], *path.parts[1:])
    try:
        return path.expanduser().absolute()
    except RuntimeError:
        raise ConfigError(f"{text}: this home folder is not known; give an absolute path") from None


def _file(flags: Mapping[str, Any], environ: Mapping[str, str], home: Path) -> Path | None:
    for origin, named in (("--config", flags.get("config")), ("LUNAROUTE_CONFIG", environ.get("LUNAROUTE_CONFIG"))):
        if named:
            path = _path(named, environ)
            if not path.is_file():
                raise ConfigError(f"{origin}: there is no file {path}")
            return path
    usual = home / CONFIG_FILE_NAME
    return usual if usual.exists() else None


def _from_file(path: Path | None) -> Iterator[_Setting]:
    if path is None:
        return
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    for section, table in document.items():
        if not isinstance(table, dict):
            raise ConfigError(f"{path}: {section!r} is outside of a section{_home_of_key(section)}")
        if section not in _ALL_SECTIONS:
            raise ConfigError(f"{path}: unknown section [{section}]{nearest(section, _ALL_SECTIONS, '[{}]')}")
        for key, value in table.items():
            if section in _FIELDS and key not in _FIELDS[section]:
                raise ConfigError(f"{path}: unknown key {key!r} in [{section}]{_advice(section, key)}")
            yield _Setting(section, key, value, f"{path}: {key!r} in [{section}]")


def _from_environ(environ: Mapping[str, str]) -> Iterator[_Setting]:
    known = _variables()
    seen: dict[tuple[str, str], str] = {}
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable in INTERNAL_VARIABLES or variable in _PLACES:
            continue
        place = known.get(variable) or _named_by(variable)
        if place is None:
            raise ConfigError(f"{variable}: no such setting{nearest(variable, (*known, *_PLACES))}")
        if place in seen:
            raise ConfigError(f"{variable}: {seen[place]} sets the same; keep one of them")
        seen[place] = variable
        yield _Setting(*place, environ[variable], variable)


_PLACES = ("LUNAROUTE_HOME", "LUNAROUTE_CONFIG", "LUNAROUTE_ENCRYPTION_KEY")


def _variables() -> dict[str, tuple[str, str]]:
    """Variable → (section, key)."""
    names = {f"{PREFIX}{section}_{key}".upper(): (section, key) for section in _FIELDS for key in _FIELDS[section]}
    return names | {f"{PREFIX}{key}".upper(): ("server", key) for key in _FIELDS["server"]}


def _named_by(variable: str) -> tuple[str, str] | None:
    for section in _NAMED_BY_VARIABLES:
        prefix = f"{PREFIX}{section}_".upper()
        name = variable.removeprefix(prefix)
        if name and name != variable:
            return section, name.lower()
    return None


def _from_flags(flags: Mapping[str, Any]) -> Iterator[_Setting]:
    for key, value in flags.items():
        if value is None or key in ("home", "config"):
            continue
        if key == "upstream":
            yield from (_upstream_flag(text) for text in value)
        else:
            yield _Setting("server", key, value, f"--{key.replace('_', '-')}")


def _upstream_flag(text: str) -> _Setting:
    name, equals, url = text.partition("=")
    if not equals:
        raise ConfigError(f"--upstream {text}: write NAME=URL, such as groq=https://api.groq.com/openai")
    return _Setting(_UPSTREAMS, name.strip(), url.strip(), f"--upstream {name.strip()}")


def _checked(setting: _Setting) -> Any:
    if setting.section == _UPSTREAMS:
        return _checked_upstream(setting)
    if setting.section == _PRICES:
        return _checked_price(setting)
    if setting.section in (_SINKS, _ALERTS):
        table = _inline_table(setting, setting.value) if setting.origin.startswith(PREFIX) else setting.value
        checked = checked_sink if setting.section == _SINKS else checked_alert
        return checked(setting.origin, setting.key, table)
    wanted = _FIELDS[setting.section][setting.key].type
    raw = setting.value
    if get_origin(wanted) is Literal and raw not in get_args(wanted):
        raise ConfigError(f"{setting.origin}: {shown(raw)} is not valid{nearest(str(raw), get_args(wanted), '{!r}')}")
    is_text_of_list = isinstance(raw, str) and wanted == tuple[str, ...]
    if is_text_of_list:
        raw = [part.strip() for part in raw.split(",") if part.strip()]
    elif isinstance(raw, str) and get_origin(wanted) is dict:
        raw = _inline_table(setting, raw)
    if isinstance(raw, str) and wanted == Span and not _SPAN.fullmatch(raw):
        raise ConfigError(f"{setting.origin}: {shown(raw)} is no time; write 0s, 90m, 36h, 30d, 2w, 1y or never")
    try:
        # Only the environment has text for numbers; a quoted number in the file is a mistake worth naming.
        value = msgspec.convert(raw, wanted, strict=not setting.origin.startswith(PREFIX))
    except msgspec.ValidationError as error:
        raise ConfigError(f"{setting.origin}: {shown(setting.value)} does not fit: {error}") from None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        _check_limits(setting, value)
    elif value == "":
        raise ConfigError(f"{setting.origin}: must not be empty")
    return value


def _inline_table(setting: _Setting, text: str) -> Any:
    """A table in a variable is written as TOML writes it in one line: {name = 'pattern'}."""
    try:
        return tomllib.loads(f"table = {text}")["table"]
    except tomllib.TOMLDecodeError:
        raise ConfigError(f"{setting.origin}: {shown(text)} is not a table such as {{name = 'pattern'}}") from None


def _check_limits(setting: _Setting, value: float) -> None:
    is_count = isinstance(value, int)
    usual = (1 if is_count else _SMALLEST_DURATION_S, math.inf)
    low, high = _LIMITS.get((setting.section, setting.key), usual)
    if math.isfinite(value) and low <= value <= high:
        return
    span = f"at least {low:g}" if high == math.inf else f"{low:g} to {high:.0f}"
    raise ConfigError(f"{setting.origin}: {shown(setting.value)} is out of range; it must be {span}")


def _absolute(encryption: EncryptionConfig, environ: Mapping[str, str]) -> EncryptionConfig:
    if encryption.key_file is None:
        return encryption
    return EncryptionConfig(key_file=str(_path(encryption.key_file, environ)))


def _checked_upstream(setting: _Setting) -> str:
    name, url = setting.key, setting.value
    if not _UPSTREAM_NAME.fullmatch(name):
        raise ConfigError(f"{setting.origin}: {name!r} is not a name; use a-z, 0-9, '.', '_' and '-'")
    if name in _RESERVED_NAMES:
        raise ConfigError(f"{setting.origin}: {name!r} is a path of the relay's own; choose another name")
    if not isinstance(url, str):
        raise ConfigError(f"{setting.origin}: {shown(url)} is not a URL in quotes")
    problem = _problem_of_url(url)
    if problem is not None:
        raise ConfigError(f"{setting.origin}: {_without_password(url)!r} {problem}")
    return url.rstrip("/")


def _checked_price(setting: _Setting) -> PriceConfig:
    model, table = setting.key, setting.value
    if not isinstance(table, dict):
        raise ConfigError(f'{setting.origin}: write [prices."provider/model"] and the prices below it')
    provider, slash, name = model.partition("/")
    if not (provider and slash and name):
        raise ConfigError(f'{setting.origin}: {model!r} names no model; write [prices."provider/model"]')
    for unit, dollars in table.items():
        if unit not in _PRICE_UNITS:
            raise ConfigError(f"{setting.origin}: unknown key {unit!r}{nearest(unit, _PRICE_UNITS, '{!r}')}")
        is_number = isinstance(dollars, (int, float)) and not isinstance(dollars, bool)
        if not is_number or not 0 <= dollars < math.inf:
            raise ConfigError(f"{setting.origin}: {unit} = {shown(dollars)} is no amount of US dollars")
    if not {"input_mtok", "output_mtok", "audio_hours"} & table.keys():
        raise ConfigError(f"{setting.origin}: say at least input_mtok or output_mtok, US dollars per million tokens")
    return PriceConfig(**{unit: float(dollars) for unit, dollars in table.items()})


def _check_provider(setting: _Setting, upstreams: Mapping[str, str]) -> None:
    """A price for a provider that does not exist would never be used, and nobody would notice."""
    provider = setting.key.partition("/")[0].lower()
    if "*" not in provider and provider not in upstreams:
        raise ConfigError(f"{setting.origin}: there is no provider {provider!r}{nearest(provider, upstreams, '{!r}')}")


def _problem_of_url(url: str) -> str | None:
    """What is wrong with an upstream's URL, for a person; None when nothing is."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return f"is not a URL: {error}"
    if parts.scheme not in ("http", "https"):
        return "must start with http:// or https://"
    if not parts.hostname or re.search(r"[\s\x00-\x1f]", url):
        return "names no host"
    if parts.username is not None or parts.password is not None:
        return "holds a credential; clients send their own, so leave it out"
    if parts.query or parts.fragment or port == 0:
        return "must be http(s)://host[:port][/path] and nothing more"
    return None


def _without_password(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//…@", url)


def _advice(section: str, key: str) -> str:
    """The nearest key of the section, unless the very same key is valid in another one."""
    elsewhere = [other for other in _FIELDS if key in _FIELDS[other]]
    return f"; it belongs in [{elsewhere[0]}]" if elsewhere else nearest(key, _FIELDS[section], "{!r}")


def _home_of_key(key: str) -> str:
    elsewhere = [section for section in _FIELDS if key in _FIELDS[section]]
    return f"; it belongs in [{elsewhere[0]}]" if elsewhere else nearest(key, _ALL_SECTIONS, "[{}]")
