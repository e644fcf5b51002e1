"""Sessions into the archive by themselves, soon after they are over.

In: what has ended, by the index. Out: pushes (`push`: compressed, put where nothing is, read back, named in a
manifest). An archive that cannot be reached is tried again, later each time; what waits for it waits in files that are
here anyway. A start looks at all files, so nothing has to be remembered about what was pushed: the manifests say it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from lunaroute.config import Config, seconds_of
from lunaroute.errors import LunarouteError

from .compress import compress_all, compress_sessions
from .ended import ended_between
from .push import PushReport, push
from .store import ArchiveStore

_EVERY_S = 30.0
"""A push makes a manifest for each day in it, so what ends in a while goes together."""
_LONGEST_PAUSE_S = 900.0
_OVERLAP = timedelta(minutes=1)
"""The index may learn of an end somewhat later than it was."""


class Pusher:
    """One per housekeeper: `look` now and then."""

    def __init__(
        self,
        config: Config,
        say: Callable[[str], None],
        is_to_go_on: Callable[[int, int], bool],
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        wait_s = seconds_of(config.archive.push_after)
        self._config = config
        self._say = say
        self._is_to_go_on = is_to_go_on
        self._clock_s = clock_s
        self.is_wanted = config.archive.url is not None and wait_s is not None
        self._after_s = wait_s or 0
        self._asked_until = datetime.now(UTC)
        self._waiting: set[str] | None = None
        """What is to be pushed; None = whatever is here, as before the first push."""
        self._pushed: set[str] = set()
        """What ended lately and was pushed: the index is asked for the same time twice."""
        self._at_s = 0.0
        self._pause_s = _EVERY_S

    def look(self) -> None:
        """Push what is due, if it is time for it. What goes wrong is a line, and tried again."""
        if not self.is_wanted or self._clock_s() < self._at_s:
            return
        until = datetime.now(UTC) - timedelta(seconds=self._after_s)
        ended = set(ended_between(self._config.database, self._asked_until - _OVERLAP, until))
        wanted = None if self._waiting is None else self._waiting | (ended - self._pushed)
        try:
            report = PushReport() if wanted is not None and not wanted else self._push(wanted)
        except (OSError, LunarouteError) as error:
            self._pause(f"nothing pushed: {error}")
            self._waiting = wanted
            self._asked_until = until
            return
        self._asked_until = until
        self._pushed = ended
        for problem in report.left_alone:
            self._say(f"not pushed: {problem}")
        if report.left_alone:
            self._pause()
            self._waiting = {problem.partition(":")[0] for problem in report.left_alone}
            self._pushed -= self._waiting
            return
        self._waiting = set()
        self._pause_s = _EVERY_S
        self._at_s = self._clock_s() + _EVERY_S

    def _push(self, wanted: set[str] | None) -> PushReport:
        url, sessions_dir = self._config.archive.url, self._config.sessions_dir
        assert url is not None
        if wanted is None:
            compress_all(sessions_dir, min_age_s=self._after_s, on_progress=self._is_to_go_on)
        else:
            compress_sessions(sessions_dir, wanted, self._is_to_go_on)
        return push(ArchiveStore(url), sessions_dir, only=wanted, on_progress=self._is_to_go_on)

    def _pause(self, line: str | None = None) -> None:
        """Longer each time; said once."""
        if line is not None and self._pause_s == _EVERY_S:
            self._say(f"{line}; it is tried again")
        self._at_s = self._clock_s() + self._pause_s
        self._pause_s = min(_LONGEST_PAUSE_S, 2 * self._pause_s)
