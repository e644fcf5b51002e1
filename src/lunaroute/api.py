"""Recordings in Python.

    import lunaroute

    with lunaroute.open() as store:
        for session in store.sessions("model:claude-* since:7d"):
            print(session.started_at, session.total_cost_usd)
        frame = store.exchanges("error:true", limit=None).to_pandas()

In: the home of recordings, filters as the command line takes them. Out: typed values, and tables for pandas, Polars or
Arrow where those are installed. Nothing here can write.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar, overload

import msgspec

from lunaroute.encryption.keys import look_in_home
from lunaroute.errors import LunarouteError, NoSuchSession
from lunaroute.events import Event
from lunaroute.query.ask import ask_sql
from lunaroute.query.exchanges import CallSummary, ExchangeSummary, list_calls, list_exchanges
from lunaroute.query.filter import Filter
from lunaroute.query.grammar import parse_filter
from lunaroute.query.latency import Latency, latencies
from lunaroute.query.search import Hit, search
from lunaroute.query.sessions import Order, SessionSummary, find_session, list_sessions
from lunaroute.query.sql import DEFAULT_SECONDS, SqlResult
from lunaroute.query.stores.opening import open_store
from lunaroute.query.tools import ToolUsage, tool_usage
from lunaroute.query.transcript import Transcript, show_session
from lunaroute.query.usage import Dimension, Usage, usage
from lunaroute.sinks import session_file
from lunaroute.sinks.layout import existing_file

T = TypeVar("T", bound=msgspec.Struct)

_NEEDS = {"pandas": "pandas", "polars": "polars", "pyarrow": "arrow"}


class Rows(Sequence[T], Generic[T]):
    """Values of one kind, in order, and the table they make: a column for each field, under its name."""

    def __init__(self, kind: type[T], items: list[T]) -> None:
        self._kind, self._items = kind, items

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[T]:
        return iter(self._items)

    def __repr__(self) -> str:
        return f"<{len(self)} × {self._kind.__name__}>"

    def to_pandas(self) -> Any:
        """A pandas.DataFrame; times are UTC timestamps. Raises LunarouteError where pandas is not installed."""
        pandas = _installed("pandas")
        frame = pandas.DataFrame(self._columns(), columns=list(self._kind.__struct_fields__))
        for name in self._times():
            frame[name] = pandas.to_datetime(frame[name], utc=True)
        return frame

    def to_polars(self) -> Any:
        """A polars.DataFrame; times are UTC timestamps. Raises LunarouteError where polars is not installed."""
        polars = _installed("polars")
        frame = polars.DataFrame(self._columns(), infer_schema_length=None)
        return frame.with_columns(polars.col(self._times()).cast(polars.String).str.to_datetime(time_zone="UTC"))

    def to_arrow(self) -> Any:
        """A pyarrow.Table; times are UTC timestamps. Raises LunarouteError where pyarrow is not installed."""
        arrow = _installed("pyarrow")
        columns = self._columns()
        for name in self._times():
            moments = [None if at is None else datetime.fromisoformat(at).replace(tzinfo=UTC) for at in columns[name]]
            columns[name] = arrow.array(moments, arrow.timestamp("us", "UTC"))
        return arrow.table(columns)

    def _columns(self) -> dict[str, Any]:
        return {name: [_plain(getattr(one, name)) for one in self] for name in self._kind.__struct_fields__}

    def _times(self) -> list[str]:
        return [name for name in self._kind.__struct_fields__ if name.endswith("_at")]


class Store:
    """The recordings below one home. Use it in one thread; close it, or use it in a `with`."""

    def __init__(self, home: Path, store: str | None = None) -> None:
        """Raises LunarouteError when the index is missing beside files, too new, or damaged; or when the store
        cannot be reached."""
        self.sessions_dir = home / "sessions"
        self._connection = open_store(store, self.sessions_dir / "sessions.db")

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def sessions(self, filter: str = "", *, limit: int | None = 50, order: Order = "newest") -> Rows[SessionSummary]:
        """Sessions of which something lies in the time asked for. Raises FilterError."""
        index = self._connection
        found = [] if index is None else list_sessions(index, _filter(filter), limit=limit, order=order).items
        return Rows(SessionSummary, found)

    def session(self, id_prefix: str) -> SessionSummary:
        """The one session whose id begins like this. Raises NoSuchSession, AmbiguousPrefix."""
        if self._connection is None:
            raise NoSuchSession("nothing was recorded yet")
        return find_session(self._connection, id_prefix)

    def exchanges(self, filter: str = "", *, limit: int | None = 50) -> Rows[ExchangeSummary]:
        """The newest exchanges. Raises FilterError."""
        index = self._connection
        return Rows(ExchangeSummary, [] if index is None else list_exchanges(index, _filter(filter), limit=limit).items)

    def tool_calls(self, filter: str = "", *, limit: int | None = 50) -> Rows[CallSummary]:
        """The newest tool calls. Raises FilterError."""
        index = self._connection
        return Rows(CallSummary, [] if index is None else list_calls(index, _filter(filter), limit=limit).items)

    def usage(self, filter: str = "", by: Sequence[Dimension] = ()) -> Rows[Usage]:
        """Requests, tokens and cost by group. Raises FilterError."""
        return Rows(Usage, [] if self._connection is None else usage(self._connection, _filter(filter), by))

    def latencies(self, filter: str = "", by: Sequence[Dimension] = ()) -> Rows[Latency]:
        """Percentiles by group. Raises FilterError."""
        return Rows(Latency, [] if self._connection is None else latencies(self._connection, _filter(filter), by))

    def tools(self, filter: str = "") -> Rows[ToolUsage]:
        """Tools, the most called first. Raises FilterError."""
        return Rows(ToolUsage, [] if self._connection is None else tool_usage(self._connection, _filter(filter)))

    def search(self, filter: str, *, limit: int | None = 20) -> Rows[Hit]:
        """What was said, where it was new. Raises FilterError."""
        index = self._connection
        return Rows(Hit, [] if index is None else search(index, _filter(filter), limit=limit).items)

    def sql(self, statement: str, *, max_rows: int = 1_000_000, max_seconds: float = DEFAULT_SECONDS) -> SqlResult:
        """What one reading statement answers. Raises SqlRefused."""
        if self._connection is None:
            raise NoSuchSession("nothing was recorded yet")
        return ask_sql(self._connection, statement, max_rows=max_rows, max_seconds=max_seconds)

    def transcript(self, id_prefix: str) -> Transcript:
        """A session as a story: its turns, with tools and their results. Raises NoSuchSession, AmbiguousPrefix,
        OSError."""
        return show_session(self.sessions_dir, self.session(id_prefix).session_id)

    def events(self, id_prefix: str) -> Iterator[Event]:
        """Everything that was recorded of a session. Raises NoSuchSession, AmbiguousPrefix, OSError."""
        session_id = self.session(id_prefix).session_id
        path = existing_file(self.sessions_dir, session_id)
        if path is None:
            raise NoSuchSession(f"the file of session {session_id} is not in {self.sessions_dir}")
        return read_events(path)


def open(home: str | Path | None = None, *, store: str | None = None) -> Store:
    """The recordings below `home`: by default LUNAROUTE_HOME, else ~/.lunaroute. An empty home is an empty store.

    `store`: the URL of another place to ask than the home's own index (`postgresql://…`); texts of sessions still come
    from the files of the home."""
    place = Path(home or os.environ.get("LUNAROUTE_HOME") or "~/.lunaroute").expanduser()
    look_in_home(place)
    return Store(place, store or os.environ.get("LUNAROUTE_QUERY_STORE"))


def read_events(path: str | Path) -> Iterator[Event]:
    """The events of one session file, `.jsonl` or `.jsonl.zst`, in order. Raises OSError, and LunarouteError at a
    line that is no event, or where it is encrypted and neither the environment nor the store opened last has its key.
    """

    def refuse(bad: session_file.BadLine) -> None:
        raise LunarouteError(str(bad))

    return session_file.read_events(Path(path), refuse)


def _filter(text: str) -> Filter:
    return parse_filter(text, datetime.now(UTC))


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value) if isinstance(value, msgspec.Struct | list) else value


def _installed(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise LunarouteError(f"{module} is not installed: pip install 'lunaroute[{_NEEDS[module]}]'") from None


__all__ = ["Rows", "Store", "open", "read_events"]
