"""Finished sessions compressed: `.jsonl` → `.jsonl.zst` (`sinks.packed` has the form, `sinks.replacing` the steps).

In: the folder of sessions. Out: the same sessions in less space. Each file is done by itself under the lock of those
who rewrite finished files; whoever dies on the way has lost nothing, and the next run does what is left.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from lunaroute.errors import LunarouteError
from lunaroute.sinks.alone import rewriting_alone
from lunaroute.sinks.layout import PLAIN_SUFFIX, plain_path, session_files
from lunaroute.sinks.replacing import compress_file, is_finished

Progress = Callable[[int, int], bool]
"""(files done, files in all) → whether to go on."""


class CompressReport(msgspec.Struct, kw_only=True):
    """What was found, and done."""

    compressed_count: int = 0
    plain_bytes: int = 0
    """Of these files, before."""
    packed_bytes: int = 0
    """And after."""
    live_count: int = 0
    """Sessions that are not over."""
    left_alone: list[str] = []
    """Files that could not be compressed, one line each."""


def compress_all(
    sessions_dir: Path, *, min_age_s: float = 0.0, on_progress: Progress = lambda _done, _total: True
) -> CompressReport:
    """Compress what is over for so long. Raises OSError when the folder cannot be read."""
    youngest_s = time.time() - min_age_s
    paths = [path for _, path in session_files(sessions_dir) if path.name.endswith(PLAIN_SUFFIX)]
    return _compress(sessions_dir, [path for path in paths if _written_s(path) <= youngest_s], on_progress)


def compress_sessions(sessions_dir: Path, session_ids: Iterable[str], on_progress: Progress) -> CompressReport:
    """Compress these, where they are over and not compressed yet."""
    paths = (plain_path(sessions_dir, session_id) for session_id in session_ids)
    return _compress(sessions_dir, [path for path in paths if path.exists()], on_progress)


def _compress(sessions_dir: Path, paths: list[Path], on_progress: Progress) -> CompressReport:
    report = CompressReport()
    for done, path in enumerate(paths):
        if not on_progress(done, len(paths)):
            return report
        try:
            with rewriting_alone(sessions_dir):
                _compress_one(path, report)
        except FileNotFoundError:
            continue  # somebody else did it
        except (OSError, ValueError, LunarouteError) as error:
            report.left_alone.append(f"{path}: {error}")
    on_progress(len(paths), len(paths))
    return report


def _compress_one(path: Path, report: CompressReport) -> None:
    if not is_finished(path):
        report.live_count += 1
        return
    plain_bytes = path.stat().st_size
    packed_bytes = compress_file(path).stat().st_size
    report.compressed_count += 1
    report.plain_bytes += plain_bytes
    report.packed_bytes += packed_bytes


def _written_s(path: Path) -> float:
    with suppress(FileNotFoundError):
        return path.stat().st_mtime
    return 0.0
