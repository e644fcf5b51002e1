"""What all commands that ask the index share: the home, the filter, the form of the answer, and errors of one line.

In: options. Out: a `Filter` and how to answer. A filter may be given as words in its own language or as options;
both hold.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from lunaroute.config import Config
from lunaroute.config_file import CONFIG_FILE_NAME, load_config
from lunaroute.encryption.keys import look_in_home
from lunaroute.errors import AmbiguousPrefix, ConfigError, FilterError, LunarouteError, NoSuchSession, SqlRefused
from lunaroute.query.filter import Filter, Words
from lunaroute.query.grammar import parse_field, parse_filter
from lunaroute.query.stores.base import Index
from lunaroute.query.stores.opening import open_store

_Command = TypeVar("_Command", bound=Callable[..., Any])

_STORE = "lunaroute.store"
NOTHING_YET = "Nothing recorded yet. Start `lunaroute serve` and send a request through it."
_FIELD_OPTIONS = {
    "since": ("TIME", "Since: 30m, 24h, 7d, today, 2026-11-22, 2026-11-22T10:00 (UTC)."),
    "until": ("TIME", "Before; the same forms."),
    "provider": ("NAME", "This provider, e.g. anthropic."),
    "model": ("NAME", "This model; part of its name will do, and * stands for anything."),
    "client": ("NAME", "This client, e.g. claude-code."),
    "tool": ("NAME", "With this tool."),
    "outcome": ("NAME", "Ended like this: completed, http_error, …"),
}


_LOOKS_LIKE_FILTER = re.compile(r'["\\]|(?:^|\s)-?[A-Za-z_]+:\S|(?:^|\s)-\S')


class Failed(click.ClickException):
    """Ends the command with one line on stderr and exit code 1."""


class WrongInput(click.ClickException):
    """Ends the command with one line on stderr and exit code 2."""

    exit_code = 2


def warn_of_stores(settings: Config) -> None:
    """That what is sent on stays as it was sent: `[sinks]` are not told what becomes of a recording later."""
    if settings.sinks:
        names = ", ".join(f"[sinks.{name}]" for name in sorted(settings.sinks))
        click.echo(f"only this home is changed; what was sent to {names} stays there as it was sent", err=True)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn what can go wrong into one line: exit code 2 for a wrong question, 1 for everything else."""
    try:
        yield
    except (NoSuchSession, AmbiguousPrefix, ConfigError, FilterError, SqlRefused) as error:
        raise WrongInput(str(error)) from error
    except (LunarouteError, OSError, sqlite3.Error) as error:
        raise Failed(str(error)) from error


@contextmanager
def opened(home: Path) -> Iterator[Index | None]:
    """What is asked: the store of `--store` or of the settings, else the index. None = nothing was recorded yet. Errors
    are one line."""
    with _opened(home, _store) as connection:
        yield connection


@contextmanager
def opened_index(home: Path) -> Iterator[Index | None]:
    """The home's own index, whatever store is asked otherwise. Errors are one line."""
    with _opened(home, lambda _home: None) as connection:
        yield connection


@contextmanager
def _opened(home: Path, store_of: Callable[[Path], str | None]) -> Iterator[Index | None]:
    with one_line_errors():
        connection = open_store(store_of(home), database(home))
        try:
            yield connection
        finally:
            if connection is not None:
                connection.close()


def sessions_dir(home: Path) -> Path:
    return home / "sessions"


def database(home: Path) -> Path:
    return sessions_dir(home) / "sessions.db"


def home_option(command: _Command) -> _Command:
    """`--home`, as a `Path` in the parameter `home`."""
    return click.option(
        "--home",
        type=click.Path(path_type=Path, file_okay=False),
        envvar="LUNAROUTE_HOME",
        default=Path("~/.lunaroute"),
        show_default="~/.lunaroute",
        callback=lambda _context, _option, value: _home(value),
        help="Where recordings are.",
    )(command)


def _home(value: Path) -> Path:
    home = value.expanduser()
    look_in_home(home)
    return home


def store_option(command: _Command) -> _Command:
    """`--store`, which `opened` looks at."""

    def keep(context: click.Context, _option: click.Parameter, value: str | None) -> None:
        context.meta[_STORE] = value

    return click.option(
        "--store",
        metavar="URL",
        expose_value=False,
        callback=keep,
        help="Ask this store (postgresql://…) instead of the home's index.",
    )(command)


def _store(home: Path) -> str | None:
    """`--store`, else what the settings say."""
    context = click.get_current_context(silent=True)
    given: str | None = None if context is None else context.meta.get(_STORE)
    if given is not None:
        return given
    if not os.environ.get("LUNAROUTE_QUERY_STORE") and not (home / CONFIG_FILE_NAME).is_file():
        return None  # most homes; the settings need not be read
    return load_config({"home": home}, os.environ).query.store


def output_options(command: _Command) -> _Command:
    """`--json` and `--csv`, as "json", "csv" or None in the parameter `output`."""
    command = click.option("--csv", "output", flag_value="csv", help="CSV with a header line.")(command)
    return click.option("--json", "output", flag_value="json", help="A JSON array, every field in full.")(command)


def filter_options(command: _Command) -> _Command:
    """The words of a filter and its most used fields as options; a `Filter` in the parameter `wanted`."""

    def run(*, words: tuple[str, ...], text: str | None, **rest: Any) -> Any:
        fields = {name: rest.pop(name) for name in _FIELD_OPTIONS}
        with one_line_errors():
            wanted = _filter(words, fields, text)
        return command(wanted=wanted, **rest)

    run.__doc__ = command.__doc__
    run.__name__ = command.__name__
    for name, (metavar, line) in reversed(_FIELD_OPTIONS.items()):
        run = click.option(f"--{name}", name, metavar=metavar, help=line)(run)
    run = click.option("--text", metavar="WORDS", help="In which these words were said.")(run)
    return click.argument("words", metavar="[FILTER]...", nargs=-1)(run)  # type: ignore[return-value]


def _filter(words: Sequence[str], fields: dict[str, str | None], text: str | None) -> Filter:
    now = datetime.now(UTC)
    wanted = parse_filter(" ".join(_requoted(word) for word in words), now)
    for name, value in fields.items():
        if value is not None:
            wanted = wanted.and_also(parse_field(name, value, now))
    return wanted if text is None else wanted.and_also(Filter(conditions=(Words(text=text),)))


def _requoted(word: str) -> str:
    """A word with spaces is a whole filter where something in it looks like one; else a phrase whose quotes the
    shell took."""
    is_phrase = any(char.isspace() for char in word) and not _LOOKS_LIKE_FILTER.search(word)
    return f'"{word}"' if is_phrase else word


def positive(_context: click.Context, option: click.Parameter, value: str) -> int:
    """The value of a limit. Raises WrongInput."""
    if not value.isascii() or not value.isdigit() or not 1 <= int(value) < 2**63:
        raise WrongInput(f"--{option.name} {value}: must be a whole number from 1 on")
    return int(value)


def limit_option(default: int) -> Callable[[_Command], _Command]:
    return click.option(
        "--limit", metavar="N", callback=positive, default=str(default), show_default=True, help="At most so many."
    )
