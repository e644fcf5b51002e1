"""`lunaroute import lunaroute|claude-code|codex`: bring in what was recorded elsewhere."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import click

from lunaroute.config_file import load_config
from lunaroute.pricing import Pricer
from lunaroute.sinks.importing.homes import import_home
from lunaroute.sinks.importing.report import ImportReport
from lunaroute.sinks.importing.transcripts import CLAUDE_CODE, CODEX, Client, import_transcripts
from lunaroute.sinks.layout import make_private_dir

from .asking import WrongInput, home_option, one_line_errors
from .waiting import shown_progress

_BAD_LINES_SHOWN = 10
_OnProgress = Callable[[int, int], None]


@click.group("import")
def import_group() -> None:
    """Bring in sessions that were recorded elsewhere.

    What is recorded already is passed over, so that importing again changes nothing. A server may be running.
    """


@import_group.command("claude-code")
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path), required=False)
@home_option
def claude_code_command(folder: Path | None, home: Path) -> None:
    """Bring in Claude Code's own transcripts (by default those in ~/.claude/projects).

    Sessions get `source: transcript`. Counts of output that are only placeholders are left out, and so is their price.
    """
    default = Path(os.environ.get("CLAUDE_CONFIG_DIR") or Path.home() / ".claude") / "projects"
    _bring_in(CLAUDE_CODE, folder or default, home)


@import_group.command("codex")
@click.argument("folder", metavar="[DIR]", type=click.Path(path_type=Path), required=False)
@home_option
def codex_command(folder: Path | None, home: Path) -> None:
    """Bring in Codex's own rollouts (by default those in ~/.codex/sessions). Sessions get `source: transcript`."""
    default = Path(os.environ.get("CODEX_HOME") or Path.home() / ".codex") / "sessions"
    _bring_in(CODEX, folder or default, home)


@import_group.command("lunaroute")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@home_option
def lunaroute_command(folder: Path, home: Path) -> None:
    """Bring in the sessions of another home of LunaRoute, or of a copy of its folder of sessions, as they are."""
    sessions_dir = _prepared(folder, home)
    _run(lambda on_progress: import_home(folder, sessions_dir, sessions_dir / "sessions.db", on_progress=on_progress))


def _bring_in(client: Client, folder: Path, home: Path) -> None:
    settings = load_config({"home": home}, os.environ)
    sessions_dir = _prepared(folder, home)
    _run(
        lambda on_progress: import_transcripts(
            client,
            folder,
            sessions_dir,
            sessions_dir / "sessions.db",
            pricer=Pricer(settings.own_prices),
            idle_timeout_ns=round(settings.sessions.idle_timeout_s * 1e9),
            on_progress=on_progress,
        )
    )


def _prepared(folder: Path, home: Path) -> Path:
    """The folder of sessions, which an import may be the first to need. Raises WrongInput where there is nothing to
    read."""
    if not folder.exists():
        raise WrongInput(f"there is no {folder}")
    sessions_dir = home / "sessions"
    with one_line_errors():
        make_private_dir(sessions_dir)
    return sessions_dir


def _run(bring_in: Callable[[_OnProgress], ImportReport]) -> None:
    with one_line_errors(), shown_progress("importing") as on_progress:
        report = bring_in(on_progress)
    _print(report)


def _print(report: ImportReport) -> None:
    for problem in report.problems:
        click.echo(f"not read to its end: {problem}", err=True)
    for bad in report.bad_lines[:_BAD_LINES_SHOWN]:
        click.echo(f"passed over {bad}", err=True)
    if len(report.bad_lines) > _BAD_LINES_SHOWN:
        click.echo(f"… and {len(report.bad_lines) - _BAD_LINES_SHOWN} more lines", err=True)
    known = f"; {report.known_count} recorded already" if report.known_count else ""
    click.echo(
        f"{report.session_count} sessions with {report.exchange_count} exchanges imported"
        f" from {report.file_count} files{known}."
    )
