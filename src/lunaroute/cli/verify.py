"""`lunaroute verify`: is every recording whole and what it was?"""

from __future__ import annotations

from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.progress import Progress

from lunaroute.verify.check import Head, Report, verify, verify_chains

from .answering import print_json
from .asking import Failed, WrongInput, database, home_option, one_line_errors, sessions_dir


@click.command("verify")
@click.option("--chain", "is_chain", is_flag=True, help="Only whether each line names the one before it.")
@click.option(
    "--against",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="With --chain: compare with what --chain --json printed then.",
)
@click.option("--json", "is_json", is_flag=True, help="The whole report as one JSON object.")
@home_option
def verify_command(*, is_chain: bool, against: Path | None, is_json: bool, home: Path) -> None:
    """Check every session file and the index; exit code 1 and a list where something is wrong.

    Files: schema, seq, hashes of bodies, pairs of requests and responses, totals, `completed` last, the chain of
    lines. Index: each row is what the files say. With a server running, sessions that are not over are left out of
    the comparison with the index. Nothing is changed.
    """
    if against is not None and not is_chain:
        raise WrongInput("--against goes with --chain")
    kept = [] if against is None else _kept(against)
    with one_line_errors(), Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("reading sessions", total=None)

        def tell(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        if is_chain:
            report = verify_chains(sessions_dir(home), kept, tell)
        else:
            report = verify(sessions_dir(home), database(home), home / "recorder" / "lock", tell)
    if is_json:
        print_json(report)
    else:
        for problem in report.problems:
            click.echo(str(problem))
    if report.problems:
        raise Failed(_summary(report))
    if not is_json:
        click.echo(_summary(report))


def _kept(path: Path) -> list[Head]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report).heads
    except (msgspec.MsgspecError, ValueError) as error:
        raise WrongInput(f"{path} is not what `lunaroute verify --chain --json` prints: {error}") from None


def _summary(report: Report) -> str:
    count = len(report.problems)
    found = "all is well" if not count else f"{count} problem{'' if count == 1 else 's'}"
    still_open = f", {report.open_count} of them not over" if report.open_count else ""
    return f"{report.line_count:,} lines of {report.session_count:,} sessions{still_open}: {found}"
