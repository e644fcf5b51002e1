"""Signals to a server of several processes."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path


def signal_all(pid: int, number: signal.Signals) -> None:
    """To the process and to those that it has started, the process itself first."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)
    with suppress(FileNotFoundError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            signal_all(int(child), number)
