"""One supervised process: started, watched, started again.

In: a command, what to add to its environment, and the monotonic time of each call. Out: lines for the log. The
wait before a new start doubles with each short life, and is small again after a long one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress

FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 5.0
LONG_LIFE_S = 10.0
"""A child that lived this long is started again without delay worth mentioning."""
_NICEST = 19


class Child:
    """start → reap … → start; or signal → reap until it is gone."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        variables: Mapping[str, str],
        pass_fds: Sequence[int],
        niceness: int = 0,
    ) -> None:
        self.name = name
        self.start_at_s: float | None = 0.0
        """Monotonic time of the next start; None while the child runs."""
        self.short_lives = 0
        """Ends in a row that came within LONG_LIFE_S of the start."""
        self._command = list(command)
        self._variables = dict(variables)
        self._pass_fds = tuple(pass_fds)
        self._niceness = niceness
        self._process: subprocess.Popen[bytes] | None = None
        self._started_s = 0.0

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def start(self, now_s: float) -> str | None:
        """Start the process. Returns a line when that failed; it is tried again later."""
        try:
            self._process = subprocess.Popen(
                self._command,
                env={**os.environ, **self._variables},
                pass_fds=self._pass_fds,
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr.fileno(),
                process_group=0,  # a Ctrl-C in the terminal reaches the supervisor alone, which stops all in order
            )
        except OSError as error:
            return self._ended(now_s, f"could not be started ({error.strerror})", is_short=True)
        self._started_s = now_s
        self.start_at_s = None
        if self._niceness:
            self._be_nice(self._process.pid)
        return None

    def reap(self, now_s: float) -> str | None:
        """A line about the child's end, when it ended since the last call."""
        if self._process is None or self._process.poll() is None:
            return None
        how = _describe(self._process.returncode)
        self._process = None
        return self._ended(now_s, f"ended ({how})", is_short=now_s - self._started_s < LONG_LIFE_S)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when the child does not run."""
        if self._process is not None:
            self._process.send_signal(number)

    def _ended(self, now_s: float, what: str, *, is_short: bool) -> str:
        self.short_lives = self.short_lives + 1 if is_short else 0
        doublings = min(max(0, self.short_lives - 1), 10)
        delay_s = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2**doublings)
        self.start_at_s = now_s + delay_s
        return f"{self.name} {what}; starting it again in {delay_s:.1f} s"

    def _be_nice(self, pid: int) -> None:
        with suppress(OSError):  # it ended already, or may not; recording works without
            ours = os.getpriority(os.PRIO_PROCESS, 0)
            os.setpriority(os.PRIO_PROCESS, pid, min(ours + self._niceness, _NICEST))


def _describe(return_code: int) -> str:
    if return_code >= 0:
        return f"exit code {return_code}"
    try:
        return f"killed by {signal.Signals(-return_code).name}"
    except ValueError:
        return f"killed by signal {-return_code}"
