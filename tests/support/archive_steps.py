"""The steps of compressing, pushing and deleting by name, and a process that dies at one of them.

In: a home, an archive's URL, a step. Out: whether the process died there. Each runs in a process of its own that is
forked from one in which no threads of an object store were ever started.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from datetime import timedelta
from pathlib import Path

from lunaroute.archive import retention
from lunaroute.archive.compress import compress_all
from lunaroute.archive.push import push
from lunaroute.archive.retention import prune
from lunaroute.archive.store import ArchiveStore
from lunaroute.config import ArchiveConfig, Config, StorageConfig
from lunaroute.sinks import replacing
from tests.builders import TEN_OCLOCK
from tests.support.crash_points import SetTrap, around

NOW = TEN_OCLOCK + timedelta(days=100)
_WAIT_S = 60.0

Step = tuple[SetTrap, int]
"""A point, and the how-many-eth time that it is reached."""


def _before(owner: object, name: str, nth: int = 1) -> Step:
    return around(owner, name, is_before=True), nth


def _after(owner: object, name: str, nth: int = 1) -> Step:
    return around(owner, name, is_before=False), nth


COMPRESS: dict[str, Step] = {
    "before it is written aside": _before(replacing, "pack"),
    "after it is written aside": _after(replacing, "pack"),
    "before it is read again": _before(replacing, "verify_packed"),
    "after it is read again": _after(replacing, "verify_packed"),
    "before it is renamed": _before(os, "replace"),
    "after it is renamed": _after(os, "replace"),
    "after the name is synced": _after(replacing, "fsync_path"),
    "after the plain file is removed": _before(replacing, "fsync_path", 2),
    "after the removal is synced": _after(replacing, "fsync_path", 2),
    "in the second session": _after(os, "replace", 2),
}

PUSH: dict[str, Step] = {
    "before an object is put": _before(ArchiveStore, "put"),
    "after an object is put": _after(ArchiveStore, "put"),
    "before it is read back": _before(ArchiveStore, "get"),
    "after it is read back": _after(ArchiveStore, "get"),
    "before the manifests": _before(ArchiveStore, "add_manifests"),
    "between the manifests of two days": _after(ArchiveStore, "put", 3),
    "after the manifests": _after(ArchiveStore, "add_manifests"),
}

# The oldest session goes whole, then another one loses its bodies.
PRUNE: dict[str, Step] = {
    "before the push": _before(retention, "push"),
    "after the push": _after(retention, "push"),
    "after what is there is read back": _after(retention, "verified"),
    "before its sums are noted": _before(retention, "remember_removed"),
    "after its sums are noted": _after(retention, "remember_removed"),
    "after its file is removed": _before(retention, "fsync_path"),
    "after the removal is synced": _before(retention, "replace_session"),
    "after its rows are removed": _after(retention, "replace_session"),
    "before the file without bodies is put in place": _before(retention, "put_in_place"),
    "after the file without bodies is in place": _after(retention, "put_in_place"),
    "before its rows follow": _before(retention, "replace_session", 2),
    "after its rows followed": _after(retention, "replace_session", 2),
    "before old sums go": _before(retention, "forget_removed_before"),
    "between old sums in the file and in the index": _after(retention, "forget_removed_before"),
    "before the space is given back": _before(retention, "give_space_back"),
}

_STEPS = {"compress": COMPRESS, "push": PUSH, "prune": PRUNE}


def config_of(home: Path, url: str) -> Config:
    """With each of the clocks due for something that is old enough."""
    storage = StorageConfig(delete_bodies_after="30d", delete_sessions_after="60d", delete_sums_after="80d")
    return Config(home=home, storage=storage, archive=ArchiveConfig(url=url))


def work(name: str, home: Path, url: str) -> None:
    """`compress`, `push` or `prune`, to its end."""
    match name:
        case "compress":
            compress_all(home / "sessions")
        case "push":
            push(ArchiveStore(url), home / "sessions")
        case _:
            prune(config_of(home, url), NOW)


def dies_at(name: str, step: str, home: Path, url: str) -> bool:
    """Do the work in a process that is killed at the step; False = it came to its end without reaching it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=_work_and_die, args=(name, step, home, url))
    process.start()
    process.join(_WAIT_S)
    code = process.exitcode
    process.kill()
    process.join()
    process.close()
    assert code in (0, -signal.SIGKILL), f"the work ended with {code} instead of being killed"
    return code != 0


def _work_and_die(name: str, step: str, home: Path, url: str) -> None:
    set_trap, nth = _STEPS[name][step]
    set_trap(setattr, nth, _die)
    work(name, home, url)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
