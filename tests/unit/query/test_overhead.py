import json
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner

from lunaroute.cli.control import status_command
from lunaroute.query.overhead import Overhead, recent_overhead


def store(times_ms: list[float | None]) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE session_stats (started_at TEXT, total_proxy_overhead_ms REAL)")
    connection.executemany(
        "INSERT INTO session_stats VALUES (?, ?)", [(f"{number:09}", ms) for number, ms in enumerate(times_ms)]
    )
    return connection


@pytest.mark.parametrize(
    ("times_ms", "expected"),
    [
        ([], None),
        ([None], None),  # still open
        ([0.5], Overhead(count=1, p50_ms=0.5, p99_ms=0.5)),
        ([4, None, 1, 3, 2], Overhead(count=4, p50_ms=2, p99_ms=4)),
        ([1.0] * 99 + [7.0], Overhead(count=100, p50_ms=1, p99_ms=1)),
        ([1.0] * 98 + [7.0] * 2, Overhead(count=100, p50_ms=1, p99_ms=7)),
        ([9.0] * 5000 + [1.0] * 10_000, Overhead(count=10_000, p50_ms=1, p99_ms=1)),  # only the latest
    ],
)
def test_percentiles_of_the_latest(times_ms: list[float | None], expected: Overhead | None) -> None:
    assert recent_overhead(store(times_ms)) == expected


def test_status_shows_it(home: Path) -> None:
    with sqlite3.connect(home / "sessions" / "sessions.db") as index:
        index.execute("UPDATE session_stats SET total_proxy_overhead_ms = 0.25 WHERE completed_at IS NOT NULL")
    index.close()
    count = json.loads(CliRunner().invoke(status_command, ["--json", "--home", str(home)]).output)["overhead"]["count"]
    text = CliRunner().invoke(status_command, ["--home", str(home)]).output
    assert f"the relay's own time: p50 0.25 ms, p99 0.25 ms (latest {count} exchanges)" in text
