"""`lunaroute sessions end`: a session is over now, and not only when it has been idle for long."""

from __future__ import annotations

import time
from pathlib import Path

import click

from lunaroute.query.sessions import SessionSummary, find_session
from lunaroute.query.stores.base import Index
from lunaroute.recorder.endings import ask_to_end
from lunaroute.supervisor.instance import RECORDER_LOCK_FILE, find_holder

from .asking import NOTHING_YET, Failed, WrongInput, home_option, one_line_errors, opened_index

_PATIENCE_S = 5.0
"""The recorder looks every second; a session with an exchange under way ends only with that."""
_POLL_S = 0.05


@click.command("end")
@click.argument("session_ids", metavar="ID...", nargs=-1, required=True)
@home_option
def end_command(session_ids: tuple[str, ...], home: Path) -> None:
    """End sessions now: what comes of their conversations later is a new session that continues them.

    IDs may be shortened to unique prefixes. A session with an exchange under way ends when that is over.
    """
    with opened_index(home) as connection:
        if connection is None:
            raise WrongInput(NOTHING_YET)
        live = [one for one in (find_session(connection, prefix) for prefix in session_ids) if _is_live(one)]
        if live and find_holder(home / "run", RECORDER_LOCK_FILE) is None:
            raise Failed(
                f"no server runs for {home}, and its recorder is who ends a session; the next start ends these"
            )
        with one_line_errors():
            for one in live:
                ask_to_end(home / "recorder", one.session_id)
        ended = _wait(connection, [one.session_id for one in live])
    for one in live:
        over = "ended" if one.session_id in ended else "ends when its exchange under way is over:"
        click.echo(f"{over} {one.session_id}")


def _is_live(session: SessionSummary) -> bool:
    if session.completed_at is None:
        return True
    click.echo(f"over since {session.completed_at}: {session.session_id}")
    return False


def _wait(connection: Index, session_ids: list[str]) -> set[str]:
    """Those of which the index says that they are over."""
    ended: set[str] = set()
    deadline_s = time.monotonic() + _PATIENCE_S
    while len(ended) < len(session_ids) and time.monotonic() < deadline_s:
        time.sleep(_POLL_S)
        ended = {one for one in session_ids if find_session(connection, one).completed_at is not None}
    return ended
