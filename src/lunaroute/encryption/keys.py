"""[io] Which keys this process has.

In: LUNAROUTE_ENCRYPTION_KEY, or a file of keys that LUNAROUTE_ENCRYPTION_KEY_FILE or the settings of a home name. Out:
one keyring, made when it is first asked for. A process works on one home, so there is one ring; whoever knows the home
says where its settings are, and everything below asks here.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable
from pathlib import Path

from lunaroute.errors import ConfigError

from .keyring import Keyring, parse_keys

KEY_VARIABLE = "LUNAROUTE_ENCRYPTION_KEY"
FILE_VARIABLE = "LUNAROUTE_ENCRYPTION_KEY_FILE"


def _file_of_environment() -> str | None:
    return os.environ.get(FILE_VARIABLE)


_find_file: Callable[[], str | None] = _file_of_environment
_ring: Keyring | None = None


def look_for_keys(find_file: Callable[[], str | None] = _file_of_environment) -> None:
    """From now on the file of keys is the one that `find_file` names; it is asked once, when a key is needed."""
    global _find_file, _ring
    _find_file, _ring = find_file, None


def look_in_home(home: Path) -> None:
    """From now on the file of keys is the one that the settings of this home name, or LUNAROUTE_CONFIG, where the
    environment names none."""
    look_for_keys(lambda: os.environ.get(FILE_VARIABLE) or _file_of_settings(home))


def _file_of_settings(home: Path) -> str | None:
    """Of the settings nothing else is looked at: what is wrong with the rest of them stops a server, not a reader."""
    path = Path(os.environ.get("LUNAROUTE_CONFIG") or home / "config.toml").expanduser()
    try:
        section = tomllib.loads(path.read_text(encoding="utf-8")).get("encryption", {})
    except (OSError, ValueError):
        return None
    name = section.get("key_file") if isinstance(section, dict) else None
    return name if isinstance(name, str) else None


def keyring() -> Keyring:
    """Raises ConfigError for a key that is none."""
    global _ring
    if _ring is None:
        _ring = _load()
    return _ring


def _load() -> Keyring:
    text = os.environ.get(KEY_VARIABLE)
    if text:
        return Keyring(parse_keys(text, KEY_VARIABLE))
    name = _find_file()
    if name is None:
        return Keyring()
    path = Path(name).expanduser()
    try:
        return Keyring(parse_keys(path.read_text(encoding="utf-8"), str(path)))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the key file {path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
