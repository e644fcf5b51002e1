"""The screen: figures, sessions, and below them the newest events or what one session streams."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import deque
from datetime import UTC, datetime
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import DataTable, Footer, Static

from lunaroute.config import Config
from lunaroute.errors import LunarouteError
from lunaroute.events import Event
from lunaroute.events.types import ResponseRecorded
from lunaroute.live.watching import updates
from lunaroute.live.wire import Hello
from lunaroute.query.render import event_line, plain, short_count, usd

from .pulse import Pulse
from .rows import COLUMNS, Row, rows_of
from .source import Sessions, Source

_DRAW_EVERY_S = 0.5
_READ_EVERY_S = 1.0
_EVENTS_KEPT = 200


class TopApp(App[None]):
    """`run()` until the user leaves."""

    CSS = """
    #figures { height: 2; padding: 0 1; }
    #sessions { height: 1fr; }
    #below { height: 8; padding: 0 1; border-top: solid $primary; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "Quit"),
        Binding("p", "pause", "Pause"),
        Binding("e", "events", "Events"),
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, config: Config) -> None:
        super().__init__()
        self._config = config
        self._source = Source(config)
        self._pulse = Pulse()
        self._now = Sessions()
        self._rows: list[Row] = []
        self._events: deque[Text] = deque(maxlen=_EVENTS_KEPT)
        self._is_connected = False
        self._is_paused = False
        self._problem = ""
        self._followed: str | None = None
        """The session whose text is shown; None = events are."""
        self._reading = asyncio.Lock()

    def compose(self) -> ComposeResult:
        yield Static(id="figures")
        yield DataTable(id="sessions", cursor_type="row", zebra_stripes=False)
        yield Static(id="below")
        yield Footer()

    def on_mount(self) -> None:
        table = self._table()
        for name, width in COLUMNS:
            table.add_column(name, width=width, key=name)
        table.focus()
        self.run_worker(self._hear(), exclusive=False)
        self.set_interval(_READ_EVERY_S, self._read)
        self.set_interval(_DRAW_EVERY_S, self._draw)
        self.call_after_refresh(self._read)

    def action_pause(self) -> None:
        """Stop moving, so that one can read."""
        self._is_paused = not self._is_paused
        self._draw(is_forced=True)

    def action_events(self) -> None:
        """Show events below, no longer a session's text."""
        self._followed = None
        self._draw(is_forced=True)

    def on_data_table_row_selected(self, selected: DataTable.RowSelected) -> None:
        """Show below what the session streams."""
        self._followed = selected.row_key.value
        self._draw(is_forced=True)

    async def _hear(self) -> None:
        feed_end = -1
        async for update in updates(self._config.live_socket, Hello()):
            self._is_connected = update is not None
            self._pulse.take(update, time.monotonic())
            if update is not None and update.feed_end != feed_end:
                feed_end = update.feed_end
                await self._read_events()

    async def _read(self) -> None:
        await self._read_events()
        try:
            async with self._reading:
                self._now = await asyncio.to_thread(self._source.sessions)
            self._problem = ""
        except (LunarouteError, OSError, sqlite3.Error) as error:
            self._source.close()
            self._problem = str(error)

    async def _read_events(self) -> None:
        try:
            async with self._reading:
                events = await asyncio.to_thread(lambda: list(self._source.events()))
        except OSError as error:
            self._problem = str(error)
            return
        for event, is_new in events:
            self._events.append(event_line(event))
            if is_new:
                self._count(event)

    def _count(self, event: Event) -> None:
        if isinstance(event, ResponseRecorded):
            cost = event.stats.estimated_cost
            usd_spent = None if cost is None else cost.total_cost_usd
            self._pulse.recorded(event.request_id, usd_spent, event.success, time.monotonic())

    def _draw(self, *, is_forced: bool = False) -> None:
        if self._is_paused and not is_forced:
            return
        self.query_one("#figures", Static).update(self._figures())
        self._draw_rows()
        self.query_one("#below", Static).update(self._below())

    def _figures(self) -> Text:
        figures = self._pulse.figures(time.monotonic())
        state = "paused" if self._is_paused else "live" if self._is_connected else "no recorder"
        line = Text("lunaroute top  ", style="bold", no_wrap=True, overflow="ellipsis")
        line.append(f"● {state}", style="green" if state == "live" else "yellow")
        line.append(f"  {datetime.now(UTC):%H:%M:%S} UTC  {len(self._now.sessions)} sessions open", style="dim")
        line.append(f"  {self._problem}\n" if self._problem else "\n", style="red")
        tools = len(self._now.tools)
        line.append(f"{figures.in_flight} in flight   {short_count(round(figures.tokens_per_second))} tok/s   ")
        line.append(f"{usd(figures.usd_per_hour)}/h   {tools} {'tool' if tools == 1 else 'tools'} running   ")
        line.append(f"{figures.errors} failed in 5 min", style="red" if figures.errors else "")
        return line

    def _draw_rows(self) -> None:
        table = self._table()
        current = self._rows[table.cursor_row].session_id if 0 <= table.cursor_row < len(self._rows) else None
        rows = rows_of(self._now, self._pulse.flights, datetime.now(UTC))
        if [row.session_id for row in rows] == [row.session_id for row in self._rows]:
            for row in rows:
                for (name, _), cell in zip(COLUMNS, row.cells, strict=True):
                    table.update_cell(row.session_id, name, cell)
        else:
            table.clear()
            for row in rows:
                table.add_row(*row.cells, key=row.session_id)
            at = next((number for number, row in enumerate(rows) if row.session_id == current), 0)
            table.move_cursor(row=at)
        self._rows = rows

    def _below(self) -> Text:
        height = 7
        if self._followed is None:
            return Text("\n", no_wrap=True, overflow="ellipsis").join(list(self._events)[-height:])
        requests = [row.request_id for row in self._rows if row.session_id == self._followed]
        streamed = self._pulse.texts.get(requests[0] or "", "") if requests else ""
        lines = plain(streamed or "Nothing streams in this session now.").wrap(self.console, self.size.width - 2)
        return Text("\n").join(list(lines)[-height:])

    def _table(self) -> DataTable[Text]:
        return self.query_one("#sessions", DataTable)
