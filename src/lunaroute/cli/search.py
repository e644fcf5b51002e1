"""`lunaroute search`: who said what, when."""

from __future__ import annotations

from pathlib import Path

import click

from lunaroute.encryption.keys import keyring
from lunaroute.query.filter import Filter
from lunaroute.query.render_sums import hits_view
from lunaroute.query.search import MARK_BEGIN, MARK_END, Hit, search

from .answering import print_items, print_pretty
from .asking import NOTHING_YET, filter_options, home_option, limit_option, opened, output_options, store_option

_UNMARKED = {ord(MARK_BEGIN): None, ord(MARK_END): None}


@click.command("search")
@output_options
@limit_option(20)
@home_option
@store_option
@filter_options
def search_command(*, wanted: Filter, output: str | None, limit: int, home: Path) -> None:
    """Find what was said by the user, the model, or in a tool's arguments or result.

    Quote a phrase; word* finds beginnings; the other terms of a filter narrow it to sessions, and kind:user to who
    said it.
    """
    with opened(home) as connection:
        hits = [] if connection is None else search(connection, wanted, limit=limit).items
        if output is not None:
            print_items(output, Hit, [_unmarked(hit) for hit in hits], "")
        elif hits:
            print_pretty(*hits_view(hits))
        else:
            click.echo(NOTHING_YET if connection is None else _nothing())


def _nothing() -> str:
    is_encrypted = keyring().is_on
    return "Recordings are encrypted, so the index holds no text to search." if is_encrypted else "Nobody said that."


def _unmarked(hit: Hit) -> Hit:
    return Hit(
        session_id=hit.session_id,
        request_id=hit.request_id,
        kind=hit.kind,
        session_started_at=hit.session_started_at,
        snippet=hit.snippet.translate(_UNMARKED),
    )
