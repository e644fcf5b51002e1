"""One outage: a whole LunaRoute under load, its store killed or stopped for some time, and back.

In: the store's server, the rate, how long. Out: `Outage`, after everything that passed was compared with what the store
has: each exchange once, the same sums.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Final, Protocol

import msgspec
from tests.support.server import serving, wait_until

from lunaroute.errors import LunarouteError
from lunaroute.query.stores.base import Index
from lunaroute.query.stores.opening import dialect_of, open_store
from lunaroute.query.usage import Usage, usage
from lunaroute.simulator import start_simulator

from .load import Load

_PATIENCE_S: Final = 300.0
_LOOK_S: Final = 0.5
_LAG_S: Final = 2.0
"""The store has caught up when it lacks no more than what passed in so many seconds: it is never quite there, as a
shipper looks every 0.3 s and a reader needs time to ask."""


class StoreServer(Protocol):
    """As in `tests.support`."""

    def new_database(self) -> str: ...
    def kill(self) -> None: ...
    def start(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...


class Outage(msgspec.Struct, frozen=True, kw_only=True):
    rate_per_s: float
    """Exchanges a second that passed the relay, as it came out."""
    outage_s: float
    """From the server's end until it answers again."""
    backlog: int
    """Exchanges that had been recorded and were not in the store when it was back."""
    catch_up_s: float
    """From then until the store had caught up with what was still coming."""
    stored: int
    """Exchanges in the store in the end, and in the index."""

    @property
    def speed(self) -> float:
        """How many times faster than they had passed the exchanges went into the store, those that came meanwhile
        included."""
        return (self.backlog + self.rate_per_s * self.catch_up_s) / self.catch_up_s / self.rate_per_s


def run_outage(
    server: StoreServer, home: Path, *, rate_per_s: float, outage_s: float, is_paused: bool = False
) -> Outage:
    """`is_paused`: the server's processes are stopped and go on, instead of being killed and started. Raises
    AssertionError where something is missing, is there twice, or was not passed on."""
    store = _Store(server.new_database())
    index = _Store(f"sqlite:{home}/sessions/sessions.db")
    home.mkdir()
    sink = f'[sinks.{store.name}]\nurl = "{store.url}"\nbackfill = true\n'
    (home / "config.toml").write_text(f"[sessions]\nidle_timeout_s = 5.0\n{sink}")
    with start_simulator(seed="outage") as provider, serving(home, {"anthropic": provider.base_url}) as relay:
        with Load(relay.base_url, rate_per_s) as load:
            wait_until(lambda: store.count() > 0, _PATIENCE_S)
            began_s, answered = time.monotonic(), load.answered
            server.pause() if is_paused else server.kill()
            time.sleep(outage_s)
            server.resume() if is_paused else server.start()
            back_s = time.monotonic()
            rate = (load.answered - answered) / (back_s - began_s)
            backlog = index.count() - store.count()
            wait_until(lambda: _is_near(store, index, rate * _LAG_S), _PATIENCE_S)
            catch_up_s = time.monotonic() - back_s
        assert not load.failed, load.failed[:3]
        wait_until(lambda: index.count() == load.answered and _is_near(store, index, 0), _PATIENCE_S)
        _compare(store, index)
    return Outage(
        rate_per_s=rate,
        outage_s=back_s - began_s,
        backlog=backlog,
        catch_up_s=catch_up_s,
        stored=load.answered,
    )


def _is_near(store: _Store, index: _Store, missing: float) -> bool:
    """Now and then: looking is not to take what catching up needs."""
    time.sleep(_LOOK_S)
    return store.count() >= index.count() - missing


class _Store:
    """Asked again and again, whether it is there or not."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.name = "postgres" if url.startswith("postgres") else url.partition(":")[0]
        self._index: Index | None = None

    def count(self) -> int:
        """Exchanges that have ended; 0 where nobody answers."""
        found = self.ask("SELECT count(*) FROM {exchanges} WHERE e.outcome IS NOT NULL")
        return int(str(found[0][0])) if found else 0

    def ask(self, statement: str) -> list[tuple[object, ...]]:
        """No rows where nobody answers."""
        try:
            if self._index is None:
                self._index = open_store(self.url, Path("nowhere"))
            if self._index is None:
                return []
            asked = statement.format(exchanges=dialect_of(self._index).exchanges)
            return list(self._index.execute(asked).fetchall())
        except (LunarouteError, sqlite3.Error):
            self.close()
            return []

    def totals(self) -> Usage:
        assert self._index is not None
        (found,) = usage(self._index)
        return found

    def close(self) -> None:
        opened, self._index = self._index, None
        if opened is not None:
            opened.close()


def _compare(store: _Store, index: _Store) -> None:
    """The same exchanges, each once, and the same sums."""
    text = "SELECT request_id, session_id, outcome, total_tokens FROM {exchanges} ORDER BY e.request_id"
    found, expected = (sorted(map(tuple, one.ask(text))) for one in (store, index))
    assert found == expected
    assert len({row[0] for row in found}) == len(found) > 0
    mine, theirs = store.totals(), index.totals()
    assert (mine.requests, mine.total_tokens) == (theirs.requests, theirs.total_tokens)
    store.close()
    index.close()
