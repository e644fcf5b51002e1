"""Death at every step: work done in a process that is killed when it comes to a given line of given modules.

    for step in deaths(work, [replacing], again=restore):
        …  # what the dead process left behind is looked at here

In: work, the modules whose lines are steps. TEST_ALL_DEATHS has it die at each of them, else it does at a sample
that is another one in each run. Out: the number of each step at which it died; the last round is the one
that lived to the end, and is not given out.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from types import FrameType, ModuleType
from typing import Any

SAMPLE = 1 if os.environ.get("TEST_ALL_DEATHS") else 12
"""One line of so many."""


def deaths(work: Callable[[], object], modules: Sequence[ModuleType], again: Callable[[], None]) -> Iterator[int]:
    """`again` puts everything back before each round."""
    step = random.randint(1, SAMPLE)
    while True:
        again()
        if not _dies(work, {module.__file__ for module in modules}, step):
            return
        yield step
        step += SAMPLE


def _dies(work: Callable[[], object], files: set[str | None], step: int) -> bool:
    pid = os.fork()
    if pid == 0:
        try:
            sys.settrace(_killer(files, step))
            work()
            sys.settrace(None)
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, "the work failed instead of being killed"
    return False


def _killer(files: set[str | None], step: int) -> Callable[[FrameType, str, Any], Any]:
    count = 0

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal count
        if frame.f_code.co_filename not in files:
            return None
        if event == "line":
            count += 1
            if count == step:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    return trace
