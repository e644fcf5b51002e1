"""A recorder for tests: notes its start, its niceness and its end in the home's journal.

With a file `slow` in the home it takes its time before it handles signals, as one with much to import does.
"""

import os
import select
import signal
import time
from pathlib import Path

from lunaroute.supervisor.spec import WorkerSpec


def main() -> None:
    spec = WorkerSpec.from_env()
    if (spec.config.home / "slow").exists():
        time.sleep(0.5)
    stop_read_fd, stop_write_fd = os.pipe()
    signal.signal(signal.SIGTERM, lambda *_: os.write(stop_write_fd, b"x"))
    journal = Path(spec.config.home / "journal")
    with journal.open("a") as file:
        file.write(f"recorder started {os.getpid()}\n")
    select.select([stop_read_fd, spec.alive_fd], [], [])
    with journal.open("a") as file:
        nice = os.getpriority(os.PRIO_PROCESS, 0)
        file.write(f"recorder stopped nice {nice}\n")


if __name__ == "__main__":
    main()
