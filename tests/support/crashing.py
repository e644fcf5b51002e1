"""A server whose processes kill themselves at named points: `python -m tests.support.crashing serve FLAGS`.

LUNAROUTE_CRASH_AT, a variable that only this build of it knows, names a folder of orders, a file each:
`<role>-<number>` with the point's name and how often it is to be reached. Each life of a relay or the recorder takes
one order of its role (the file gets the suffix `.taken`) and carries it out (`.done`, and kill -9).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

from tests.support.crash_points import RECORDER_POINTS, RELAY_POINTS, SetTrap

CRASH_AT = "LUNAROUTE_CRASH_AT"
_CHECKPOINT_S = 0.1
_LONGEST_DELAY_S = 0.1


def order(folder: Path, role: str, points: Iterable[tuple[str, int]]) -> None:
    """Leave orders: (point, how often it is to be reached)."""
    folder.mkdir(exist_ok=True)
    for number, (point, nth) in enumerate(points):
        (folder / f"{role}-{number:03}").write_text(f"{nth} {point}")


def outstanding(folder: Path) -> list[str]:
    """Orders that no process has carried out yet."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".done")


def main() -> None:
    role = sys.argv[1]
    if role == "serve":
        _serve()
    elif role == "recorder":
        from lunaroute.recorder import recorder
        from lunaroute.recorder.__main__ import main as run

        recorder._CHECKPOINT_S = _CHECKPOINT_S
        _take_order(role, RECORDER_POINTS)
        run()
    else:
        from lunaroute.relay.__main__ import main as run

        _take_order(role, RELAY_POINTS)
        run()


def _serve() -> None:
    from lunaroute import config_file
    from lunaroute.cli import main as run
    from lunaroute.supervisor import child, server

    config_file.INTERNAL_VARIABLES |= {CRASH_AT}
    child.LONGEST_DELAY_S = _LONGEST_DELAY_S
    commands = [(sys.executable, "-m", "tests.support.crashing", role) for role in ("relay", "recorder")]
    really_serve = server.serve
    server.serve = lambda config, *_: really_serve(config, *commands)
    run(sys.argv[1:])


def _take_order(role: str, points: Mapping[str, SetTrap]) -> None:
    if CRASH_AT not in os.environ:
        return
    for path in sorted(Path(os.environ[CRASH_AT]).glob(f"{role}-???")):
        taken = path.with_suffix(".taken")
        try:
            path.rename(taken)
        except FileNotFoundError:  # another worker was faster
            continue
        nth, _, point = taken.read_text().partition(" ")
        points[point](setattr, int(nth), partial(_die, taken))
        return


def _die(taken: Path) -> None:
    os.rename(taken, taken.with_suffix(".done"))
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
