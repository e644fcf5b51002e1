"""[io] The copy's way to the spool. Cannot fail the traffic: errors of the disk become a state, counted and retried.

Order is the guarantee: a request's opening is in the spool before its first byte goes to the provider, and a
response's bytes are before they go to the client, because every `flush` here comes before the matching write there.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Literal, TextIO

from lunaroute.capture.ports import RecordSink, RecordWriter
from lunaroute.capture.records import RecordsLost


class LostRecords:
    """Stands in for the writer while that fails: takes everything, keeps nothing, counts exchanges."""

    def __init__(self, exchange_count: int = 0, on_count: Callable[[], None] = lambda: None) -> None:
        self.exchange_count = exchange_count
        self._on_count = on_count

    def request_opened(self, *_: object) -> None:
        self.exchange_count += 1
        self._on_count()

    def request_chunk(self, *_: object) -> None:
        pass

    def response_opened(self, *_: object) -> None:
        pass

    def response_chunk(self, *_: object) -> None:
        pass

    def upgrade_chunk(self, *_: object) -> None:
        pass

    def exchange_closed(self, *_: object) -> None:
        pass


class Tap:
    """One per relay process. All its exchanges tell `records` what they see, and `flush` before they pass it on."""

    def __init__(
        self,
        writer: RecordWriter,
        on_failure: Literal["pass", "block"],
        sync_always: bool,
        count_open: Callable[[], int],
        log: TextIO = sys.stderr,
    ) -> None:
        """`count_open`: how many exchanges are open right now."""
        self._writer = writer
        self._on_failure = on_failure
        self._sync_always = sync_always
        self._count_open = count_open
        self._log = log
        self._failed_wall_ns = 0
        self._failure = ""
        self._lost = LostRecords()
        self._recovered_count = 0
        self.records: RecordSink = writer
        """Where to tell: the writer, or nowhere while it fails."""
        self.is_working = True
        self.refuses = False
        """Audit mode and nothing can be recorded: nothing may pass."""

    @property
    def unrecorded_exchanges(self) -> int:
        """Exchanges that passed unrecorded, in whole or in part, since the relay started."""
        return self._recovered_count + self._lost.exchange_count

    def flush(self) -> None:
        """Everything told so far is in the kernel's hands when this returns."""
        if self.is_working:
            try:
                self._writer.flush()
                if self._sync_always:
                    self._writer.sync()
            except OSError as error:
                self.fail(error)

    def fail(self, error: OSError) -> None:
        """The disk refused; from now on nothing is written until `retry` succeeds."""
        if not self.is_working:  # known already (an fsync may fail after a write did)
            return
        self.is_working = False
        self.refuses = self._on_failure == "block"
        self._failed_wall_ns = time.time_ns()
        self._failure = error.strerror or str(error)
        self.records = self._lost = LostRecords(self._count_open(), self._note)
        self._note()
        mode = "requests are refused" if self._on_failure == "block" else "traffic goes on unrecorded"
        self._say(f"cannot write the spool ({self._failure}); {mode} until it works again")

    def retry(self) -> None:
        """Called every second: try to write again after a failure, and put the gap on record."""
        if self.is_working:
            return
        lost = self._told()
        self._writer.note_lost(lost)  # told again after a kill, it is the same gap
        try:
            self._writer.reopen()
            self._writer.put(lost)
            self._writer.flush()
        except OSError as error:
            self._failure = error.strerror or str(error)
            return
        self._writer.forget_lost()
        self.is_working = True
        self.refuses = False
        self.records = self._writer
        count = self._lost.exchange_count
        self._recovered_count += count
        self._lost = LostRecords()
        self._say(f"recording works again; {count} exchanges passed unrecorded, in whole or in part")

    def _told(self) -> RecordsLost:
        """What is lost so far."""
        return RecordsLost(
            t_ns=time.monotonic_ns(),
            wall_ns=time.time_ns(),
            since_wall_ns=self._failed_wall_ns,
            exchange_count=self._lost.exchange_count,
            reason=self._failure,
        )

    def _note(self) -> None:
        """So that the next relay can tell, should this one be killed before writing works again."""
        self._writer.note_lost(self._told())

    def _say(self, text: str) -> None:
        print(f"lunaroute: {text}", file=self._log, flush=True)
