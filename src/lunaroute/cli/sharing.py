"""What `lunaroute sessions export` does before sessions are shared: redact them, or show what that would do."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table

from lunaroute.config_file import load_config
from lunaroute.errors import NoSuchSession
from lunaroute.query.render import plain
from lunaroute.query.sessions import SessionSummary
from lunaroute.redact.settings import RedactionSettings, redaction_key
from lunaroute.relay.salt import load_salt
from lunaroute.sinks.layout import existing_file

from .asking import sessions_dir

_OF_THE_INDEX = ("csv", "parquet")


def private(path: str, flags: int) -> int:
    """Opens a file that only its owner reads."""
    return os.open(path, flags, 0o600)


@contextmanager
def redacted(
    home: Path, sessions_dir: Path, sessions: list[SessionSummary], form: str, mode: Any
) -> Iterator[tuple[Path, list[SessionSummary]]]:
    """The folder to export from, and the sessions: as they are, or for the time of the block redacted copies."""
    if mode is None:
        yield sessions_dir, sessions
        return
    if form in _OF_THE_INDEX:
        raise click.UsageError(f"--redact does not go with --format {form}, which is written from the index")
    from lunaroute.export.redacted import EventRedactor, redacted_file

    settings = _settings(home, mode)
    redactor = EventRedactor(settings)
    with tempfile.TemporaryDirectory(prefix="lunaroute-redacted-") as name:
        for one in sessions:
            redacted_file(_file(sessions_dir, one.session_id), Path(name), one.session_id, redactor)
        yield Path(name), [redactor.texts(one) for one in sessions]


def show_preview(home: Path, sessions: Sequence[SessionSummary]) -> None:
    """A row for each field and rule: how often, how many different values, and where first."""
    from lunaroute.export.redacted import preview

    here = sessions_dir(home)
    paths = [_file(here, one.session_id) for one in sessions]
    rows: dict[tuple[str, str, str], list[Any]] = {}
    for one in preview(paths, _settings(home, "tokenize")):
        row = rows.setdefault((one.event, one.field, one.rule), [0, set(), one.seq])
        row[0] += one.count
        row[1] |= one.values
    if not rows:
        click.echo("Nothing that the rules look for is in there.")
        return
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for heading in ("event", "field", "rule"):
        table.add_column(heading, no_wrap=True)
    for heading in ("places", "values", "first seq"):
        table.add_column(heading, justify="right", no_wrap=True)
    for (event, field, rule), (count, values, seq) in sorted(rows.items(), key=lambda item: (item[0][2], item[0])):
        table.add_row(plain(event), plain(field), plain(rule), str(count), str(len(values) or ""), str(seq))
    Console().print(table)
    click.echo(f"{sum(row[0] for row in rows.values())} places in {len(sessions)} sessions; nothing was changed.")


def _settings(home: Path, mode: Any) -> RedactionSettings:
    config = load_config({"home": home}, os.environ).redaction
    wanted = RedactionSettings(mode=mode, rules=config.rules, patterns=config.patterns)
    return msgspec.structs.replace(wanted, key=redaction_key(load_salt(home)))


def _file(folder: Path, session_id: str) -> Path:
    path = existing_file(folder, session_id)
    if path is None:
        raise NoSuchSession(f"the file of session {session_id} is not in {folder}")
    return path
