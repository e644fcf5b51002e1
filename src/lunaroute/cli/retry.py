"""`lunaroute retry`: dead letters, listed or tried again."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import click
import msgspec

from lunaroute.config_file import load_config
from lunaroute.encryption.keys import look_for_keys
from lunaroute.pricing import Pricer
from lunaroute.query.render import plain
from lunaroute.recorder.dead_letter import DeadLetter, DeadLetters
from lunaroute.recorder.retry import RetryReport, retry

from .asking import WrongInput, home_option, one_line_errors
from .waiting import shown_progress


@click.command("retry")
@click.argument("letters", metavar="[ID]...", nargs=-1)
@click.option("--list", "is_list", is_flag=True, help="Show dead letters with their reasons, and change nothing.")
@click.option("--json", "is_json", is_flag=True, help="The answer as JSON.")
@click.option(
    "--config", metavar="FILE", type=click.Path(path_type=Path), help="Settings file with prices of your own."
)
@home_option
def retry_command(*, letters: tuple[str, ...], is_list: bool, is_json: bool, config: Path | None, home: Path) -> int:
    """Read again what could not be recorded as it should.

    An exchange that broke a part of this program is recorded by its bytes alone, and a dead letter names it. After an
    update that can read it, this puts what it says into its place in its session, and makes the index anew. Without an
    ID (or the beginning of one), all are tried. Doing it again changes nothing; a server may be running. Exit code 1
    where a letter is left.
    """
    settings = load_config({"home": home, "config": config}, os.environ)
    look_for_keys(lambda: settings.encryption.key_file)
    folder = DeadLetters(settings.recorder_dir / "dead-letter")
    found = dict(folder.read())
    wanted = _chosen(found, letters)
    if is_list:
        _list({name: found[name] for name in wanted}, is_json=is_json)
        return 0
    if not wanted:
        click.echo("[]" if is_json else "There are no dead letters.")
        return 0
    pricer = Pricer(settings.own_prices)
    with one_line_errors(), shown_progress("reading sessions") as on_progress:
        report = retry(
            settings.sessions_dir, settings.database, folder, pricer, only=set(wanted), on_progress=on_progress
        )
    _print(report, is_json=is_json)
    return 1 if report.left else 0


def _chosen(found: dict[str, DeadLetter], beginnings: Iterable[str]) -> list[str]:
    """The names that begin like this. Raises WrongInput where none does, or several do."""
    chosen = []
    for beginning in beginnings:
        fitting = [name for name in found if name.startswith(beginning)]
        if len(fitting) != 1:
            many = "several dead letters begin" if fitting else "no dead letter begins"
            raise WrongInput(f"{many} with {beginning}")
        chosen += fitting
    return chosen or list(found)


def _list(letters: dict[str, DeadLetter], *, is_json: bool) -> None:
    if is_json:
        rows = [{"id": name, "what": _what(letter), "reason": letter.reason} for name, letter in letters.items()]
        click.echo(msgspec.json.encode(rows).decode())
        return
    for name, letter in letters.items():
        click.echo(f"{plain(name)}  {_what(letter)}  {plain(letter.reason)}")
    if not letters:
        click.echo("There are no dead letters.")


def _what(letter: DeadLetter) -> str:
    if letter.exchange is not None:
        return "exchange"
    return "unreadable" if letter.event is None else str(letter.event.__struct_config__.tag)


def _print(report: RetryReport, *, is_json: bool) -> None:
    if is_json:
        rows = [{"id": name, "is_done": True, "reason": None} for name in report.done]
        rows += [{"id": name, "is_done": False, "reason": reason} for name, reason in report.left.items()]
        click.echo(msgspec.json.encode(rows).decode())
        return
    for name, reason in report.left.items():
        click.echo(f"left: {plain(name)}: {plain(reason)}", err=True)
    left = f", {len(report.left)} left" if report.left else ""
    click.echo(f"{len(report.done)} recorded as they should be{left}.")
