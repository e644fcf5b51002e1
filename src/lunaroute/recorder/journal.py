"""[io] The recorder's memory on disk: a small SQLite file beside the recordings.

What makes recording exactly-once across crashes:

1. Before a batch is handed to the sinks, its *plan* (which bytes of the spool, at what time) is written down.
2. Every second or so a *checkpoint* stores the derived state, the spool positions and the exchanges still open, after
   the sinks have been synced, and forgets the plans it covers.
3. A restart loads the checkpoint and runs the plans again. The same bytes and the same time give the same events, which
   the sinks recognise by (session_id, seq) and skip as far as they have them.

A plan survives a kill -9 of any process; a checkpoint survives a power loss.

Where the journal was lost (`relearn`), it also names the exchanges that are to be passed over, because they are
recorded already under sessions that nobody knows how to go on with.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path

import msgspec

from lunaroute.assemble.exchange import ExchangeKey
from lunaroute.assemble.socket import SocketState
from lunaroute.capture.records import Record, RelayStarted
from lunaroute.encryption.lines import open_value, seal_value
from lunaroute.spool.follow import Position

Saved = Record | SocketState
"""What an open exchange is made of: its records, and what of a socket's have come to."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS plan (number INTEGER PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS position (lane TEXT PRIMARY KEY, segment INTEGER NOT NULL, offset INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS lane (lane TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS open_exchange (
    lane TEXT NOT NULL, start_wall_ns INTEGER NOT NULL, exchange INTEGER NOT NULL, part INTEGER NOT NULL,
    body BLOB NOT NULL, PRIMARY KEY (lane, start_wall_ns, exchange, part)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS passed_over (request_id TEXT PRIMARY KEY) WITHOUT ROWID;
"""
_VERSION = "1"


class Range(msgspec.Struct, frozen=True, array_like=True):
    """Bytes of one lane."""

    lane: str
    start: Position
    end: Position


class Plan(msgspec.Struct, frozen=True, array_like=True):
    """One batch: everything its outcome depends on besides the state before it."""

    ranges: list[Range]
    now_wall_ns: int
    dead_lanes: list[str]
    """Lanes whose writer was found dead, everything it wrote having been read."""
    ended_sessions: list[str] = []
    """Those that the user ends."""


class LaneState(msgspec.Struct, frozen=True, array_like=True):
    started: RelayStarted
    is_running: bool
    stopped_wall_ns: int = 0


class Remembered(msgspec.Struct):
    """The last checkpoint, and the plans made since."""

    positions: dict[str, Position]
    run_id: str | None
    lanes: dict[str, LaneState]
    state: dict[str, bytes]
    open_exchanges: list[tuple[ExchangeKey, int, list[Saved]]]
    """(key, number of parts saved, its records so far) of each open exchange."""
    plans: list[Plan]
    passed_over: frozenset[str] = frozenset()
    """request_ids of exchanges not to be recorded again."""


class Checkpoint(msgspec.Struct):
    """What changed since the last one."""

    positions: dict[str, Position]
    run_id: str | None
    lanes: dict[str, LaneState]
    put: dict[str, bytes]
    deleted: set[str]
    new_records: list[tuple[ExchangeKey, int, list[Saved]]]
    """(key, part number, records) that open exchanges have got."""
    closed_exchanges: list[ExchangeKey]
    """Those whose saved parts are to go, before the new ones are put."""


_records = msgspec.msgpack.Decoder(list[Saved])
_plans = msgspec.msgpack.Decoder(Plan)
_lanes = msgspec.msgpack.Decoder(LaneState)
_encode = msgspec.msgpack.Encoder().encode


class Journal:
    """One per home; the recorder's lock makes sure of that."""

    def __init__(self, path: Path, *, is_shredding: bool = False) -> None:
        """`is_shredding`: what is deleted is written over, here and in the log of SQLite."""
        self._is_shredding = is_shredding
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None)
        path.chmod(0o600)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        if is_shredding:
            self._db.execute("PRAGMA secure_delete=ON")
        self._db.executescript(_SCHEMA)
        self.is_new = self._db.execute("SELECT 1 FROM meta").fetchone() is None
        """Nothing is remembered: the first start, or the journal was lost. False once `begin` has returned."""

    def load(self) -> Remembered:
        db = self._db
        run = db.execute("SELECT value FROM meta WHERE name = 'run_id'").fetchone()
        exchanges: dict[ExchangeKey, list[Saved]] = {}
        parts: dict[ExchangeKey, int] = {}
        for lane, start, exchange, part, body in db.execute("SELECT * FROM open_exchange ORDER BY 1, 2, 3, 4"):
            key = ExchangeKey(lane, start, exchange)
            exchanges.setdefault(key, []).extend(_records.decode(open_value(body)))
            parts[key] = part + 1
        return Remembered(
            positions={lane: Position(s, o) for lane, s, o in db.execute("SELECT * FROM position")},
            run_id=run[0] if run else None,
            lanes={lane: _lanes.decode(body) for lane, body in db.execute("SELECT * FROM lane")},
            state={key: open_value(body) for key, body in db.execute("SELECT key, body FROM state")},
            open_exchanges=[(key, parts[key], records) for key, records in exchanges.items()],
            plans=[_plans.decode(body) for (body,) in db.execute("SELECT body FROM plan ORDER BY number")],
            passed_over=frozenset(request_id for (request_id,) in db.execute("SELECT request_id FROM passed_over")),
        )

    def begin(self, passed_over: Iterable[str]) -> None:
        """Make a new journal one to go on from, all at once; `passed_over` are request_ids."""
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany("INSERT INTO passed_over VALUES (?)", _singles(passed_over))
        self._db.execute("INSERT INTO meta VALUES ('version', ?)", (_VERSION,))
        self._db.execute("COMMIT")
        self.is_new = False

    def add_plan(self, plan: Plan) -> None:
        self._db.execute("INSERT INTO plan (body) VALUES (?)", (_encode(plan),))

    def commit(self, checkpoint: Checkpoint) -> None:
        """Durable against power loss on return."""
        db = self._db
        db.execute("PRAGMA synchronous=FULL")
        db.execute("BEGIN IMMEDIATE")
        try:
            self._write(checkpoint)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:  # a full disk has ended it already
                db.execute("ROLLBACK")
            raise
        finally:
            db.execute("PRAGMA synchronous=NORMAL")
        if self._is_shredding:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _write(self, checkpoint: Checkpoint) -> None:
        db = self._db
        db.execute("DELETE FROM plan")
        db.executemany(
            "INSERT OR REPLACE INTO position VALUES (?, ?, ?)",
            [(lane, at.segment, at.offset) for lane, at in checkpoint.positions.items()],
        )
        if checkpoint.run_id is not None:
            db.execute("INSERT OR REPLACE INTO meta VALUES ('run_id', ?)", (checkpoint.run_id,))
        lanes = ((lane, _encode(state)) for lane, state in checkpoint.lanes.items())
        db.executemany("INSERT OR REPLACE INTO lane VALUES (?, ?)", lanes)
        states = ((key, seal_value(body)) for key, body in checkpoint.put.items())
        db.executemany("INSERT OR REPLACE INTO state VALUES (?, ?)", states)
        # In the order of the keys, so that neighbours go together: at a stop it is all that open sessions have.
        db.executemany("DELETE FROM state WHERE key = ?", _singles(sorted(checkpoint.deleted)))
        db.executemany(
            "DELETE FROM open_exchange WHERE lane = ? AND start_wall_ns = ? AND exchange = ?",
            [(key.lane, key.start_wall_ns, key.exchange) for key in checkpoint.closed_exchanges],
        )
        db.executemany(
            "INSERT OR REPLACE INTO open_exchange VALUES (?, ?, ?, ?, ?)",
            [
                (key.lane, key.start_wall_ns, key.exchange, part, seal_value(_encode(records)))
                for key, part, records in checkpoint.new_records
            ],
        )

    def close(self) -> None:
        self._db.close()


def _singles(values: Iterable[str]) -> list[tuple[str]]:
    return [(value,) for value in values]
