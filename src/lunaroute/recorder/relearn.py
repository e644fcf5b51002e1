"""[io] When the recorder's journal is lost: set a damaged one aside, and find what of the spool is recorded already.

Without a journal, recording begins again with the oldest segment of the spool. A session that began in there is made
again as it was, event by event, and the sinks know what they have of it. Of a session that began earlier, only what
the files lack is recorded, in a new session: what was answered there already is passed over.
"""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

import msgspec

from lunaroute.assemble.assembler import Assembler
from lunaroute.assemble.exchange import RequestReceived
from lunaroute.capture.records import RelayStarted, RequestOpened
from lunaroute.errors import SpoolCorrupt, StartError
from lunaroute.sinks.sqlite.sink import SqliteSink
from lunaroute.sinks.sqlite.store import is_corrupt
from lunaroute.spool.follow import Follower

from .journal import Journal

JOURNAL_ERRORS = (sqlite3.Error, msgspec.MsgspecError, SpoolCorrupt)
"""What opening a journal, or going on from it, may raise."""


def open_journal(path: Path, spool_dir: Path, index: SqliteSink, *, is_shredding: bool = False) -> Journal:
    """The journal, ready to go on from. Raises JOURNAL_ERRORS, OSError."""
    journal = Journal(path, is_shredding=is_shredding)
    try:
        if journal.is_new:
            answered = _passed_over(spool_dir, index)
            if answered:
                _say(f"{path} is new, but of the spool {len(answered)} exchanges are recorded: they are passed over")
            journal.begin(answered)
    except BaseException:
        journal.close()
        raise
    return journal


def set_aside(path: Path, error: Exception) -> None:
    """Put a journal that cannot be used out of the way. Raises StartError where it is not the journal's fault."""
    if isinstance(error, sqlite3.Error) and not is_corrupt(error):
        raise StartError(f"cannot use {path} ({error})") from error
    number = 1
    while (aside := path.with_name(f"{path.name}.corrupt-{number}")).exists():
        number += 1
    # Its log goes with it: it would damage the new one.
    for suffix in ("", "-wal", "-shm"):
        source = path.with_name(path.name + suffix)
        if source.exists():
            source.replace(aside.with_name(aside.name + suffix))
    _say(f"{path} cannot be used ({error}); it is kept as {aside.name}, and what the spool holds is read again")


def _passed_over(spool_dir: Path, index: SqliteSink) -> list[str]:
    """Exchanges of the spool that are answered in sessions whose beginning the spool no longer has."""
    request_ids = _request_ids(spool_dir)
    if not request_ids:
        return []
    index.catch_up()
    first_ids = index.answered(request_ids)
    return [request_id for request_id, first_id in first_ids.items() if first_id not in request_ids]


def _request_ids(spool_dir: Path) -> dict[str, None]:
    """Of all requests in the spool, in the order of their arrival."""
    found: dict[str, None] = {}
    follower = Follower(spool_dir, {})
    assembler = Assembler()  # a record alone does not tell of the turns of a socket
    lanes: set[str] = set()
    try:
        while reads := follower.poll():
            for read in reads:
                for record in read.records:
                    if read.lane not in lanes and not isinstance(record, RelayStarted):
                        assembler.adopt_lane(read.lane, record.t_ns)
                    lanes.add(read.lane)
                    if isinstance(record, RequestOpened):
                        found[record.request_id] = None
                    for item in assembler.feed(read.lane, record):
                        if isinstance(item, RequestReceived):
                            found[item.exchange.request_id] = None
    finally:
        follower.close()
    return found


def _say(line: str) -> None:
    print(f"lunaroute: recorder: {line}", file=sys.stderr, flush=True)
