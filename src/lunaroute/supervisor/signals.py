"""Signals as something to wait for, beside descriptors and time.

In: SIGTERM, SIGINT and SIGHUP (requests to stop) and SIGCHLD. Out: `wait` returns, and `stop_requests` has counted.
Nothing is done inside a signal handler.
"""

from __future__ import annotations

import os
import selectors
import signal
from types import FrameType, TracebackType

from .health import HealthProbe

_STOP = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class SignalWatch:
    """Use as a context, in the main thread; earlier handlers come back at its end."""

    def __init__(self) -> None:
        self.stop_requests = 0
        self._read_fd, self._write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        os.set_blocking(self._write_fd, False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._read_fd, selectors.EVENT_READ)
        self._earlier: dict[signal.Signals, signal._HANDLER] = {}
        self._earlier_fd = -1

    def __enter__(self) -> SignalWatch:
        self._earlier_fd = signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
        for number in _STOP:
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup asks to live on after a hang-up
                self._earlier[number] = signal.signal(number, self._count)
        self._earlier[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, _wake)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._earlier.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._earlier_fd)
        self._selector.close()
        os.close(self._read_fd)
        os.close(self._write_fd)

    def wait(self, timeout_s: float | None, probe: HealthProbe | None = None) -> bool:
        """Until a signal, the probe's answer, or the time is over. Returns whether the probe can be read."""
        if probe is not None:
            self._selector.register(probe, selectors.EVENT_READ)
        try:
            ready = self._selector.select(timeout_s)
        finally:
            if probe is not None:
                self._selector.unregister(probe)
        self._empty_pipe()
        return any(key.fileobj is probe for key, _ in ready)

    def _empty_pipe(self) -> None:
        try:
            while os.read(self._read_fd, 512):
                pass
        except BlockingIOError:
            pass

    def _count(self, number: int, frame: FrameType | None) -> None:
        self.stop_requests += 1


def _wake(number: int, frame: FrameType | None) -> None:
    """A handler must exist for the signal to reach the wake-up pipe."""
