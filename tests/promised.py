"""The promised queries (CONTRACT §5), word for word, run with the tools people use, and what they must answer.

`check_promised_queries(sessions_dir, truth)` works on any folder of recordings, whoever made them.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lunaroute.sinks.layout import session_files
from lunaroute.sinks.session_file import read_lines_from

JQ_THINKING = r"""jq 'select(.type == "completed" and .final_stats.total_tokens.thinking > 10000)' *.jsonl"""
JQ_BY_TOOL = r"""jq '.final_stats.tool_summary.by_tool' *.jsonl | jq -s 'add'"""
JQ_COST = r"""jq '.final_stats.estimated_cost.total_cost_usd' *.jsonl | jq -s 'add'"""

SQL_OVERHEAD = """
SELECT session_id, provider_latency_ms, proxy_overhead_ms,
       (proxy_overhead_ms * 100.0 / total_duration_ms) as overhead_pct
FROM sessions WHERE started_at > datetime('now', '-1 day') ORDER BY overhead_pct DESC;
"""
SQL_TOOLS = """
SELECT tool_name, SUM(call_count) as total_calls FROM tool_calls GROUP BY tool_name ORDER BY total_calls DESC;
"""

PANDAS = """
import pandas as pd
df = pd.read_json('session.jsonl', lines=True)
completed = df[df['type'] == 'completed']
stats = pd.json_normalize(completed['final_stats'])
print(f"Average thinking tokens: {stats['total_tokens.thinking'].mean():.0f}")
print(f"Total cost: ${stats['estimated_cost.total_cost_usd'].sum():.2f}")
"""


class ToolTruth(msgspec.Struct, frozen=True, kw_only=True):
    """A tool as one session used it."""

    call_count: int
    error_count: int = 0


class SessionTruth(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about a session without having read its recording. None = not known, not checked."""

    session_id: str
    is_completed: bool = True
    is_of_last_day: bool
    thinking_tokens: int | None
    """Null when the provider never said."""
    total_cost_usd: float | None
    """Null when no exchange has a price."""
    provider_latency_ms: float | None = None
    proxy_overhead_ms: float | None = None
    overhead_pct: float | None = None
    tools: dict[str, ToolTruth] = {}


Truth = list[SessionTruth]


def check_promised_queries(sessions_dir: Path, truth: Truth, scratch: Path) -> None:
    """Run every promised query over the folder's recordings and compare the answers with the truth about each of
    its sessions. `scratch` is an empty folder. Skips where jq or sqlite3 is not installed."""
    for tool in ("jq", "sqlite3"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    gather(sessions_dir, scratch)
    if truth:
        check_jq_thinking(scratch, truth)
        check_jq_by_tool(scratch, truth)
        check_jq_cost(scratch, truth)
    check_sql_overhead(sessions_dir / "sessions.db", truth)
    check_sql_tools(sessions_dir / "sessions.db", truth)
    for one in truth:
        if one.is_completed:
            check_pandas(sessions_dir, one)


def check_jq_thinking(folder: Path, truth: Truth) -> None:
    answer = _json_values(_shell(JQ_THINKING, folder))
    assert {one["session_id"] for one in answer} == {
        one.session_id for one in truth if one.is_completed and (one.thinking_tokens or 0) > 10_000
    }
    assert all(one["type"] == "completed" for one in answer)


def check_jq_by_tool(folder: Path, truth: Truth) -> None:
    """jq's `add` joins objects: of a tool that several sessions used, the last file in name order speaks."""
    ended = sorted((one for one in truth if one.is_completed), key=lambda one: one.session_id)
    joined = {name: tool for one in ended for name, tool in one.tools.items()}
    answer = _json_values(_shell(JQ_BY_TOOL, folder))
    found = {
        name: ToolTruth(call_count=use["call_count"], error_count=use["error_count"])
        for name, use in (answer[0] or {}).items()
    }
    assert found == joined


def check_jq_cost(folder: Path, truth: Truth) -> None:
    known = [one.total_cost_usd for one in truth if one.is_completed and one.total_cost_usd is not None]
    (answer,) = _json_values(_shell(JQ_COST, folder))
    if not known:
        assert answer is None
        return
    assert answer == pytest.approx(sum(known), rel=1e-12, abs=1e-12)


def check_sql_overhead(database: Path, truth: Truth) -> None:
    rows = _sqlite3(database, SQL_OVERHEAD)
    expected = {one.session_id: one for one in truth if one.is_of_last_day}
    assert {row["session_id"] for row in rows} == expected.keys()
    shares = [row["overhead_pct"] for row in rows if row["overhead_pct"] is not None]
    assert shares == sorted(shares, reverse=True)
    for row in rows:
        one = expected[row["session_id"]]
        for name in ("provider_latency_ms", "proxy_overhead_ms", "overhead_pct"):
            known = getattr(one, name)
            assert known is None or row[name] == pytest.approx(known), (one.session_id, name)


def check_sql_tools(database: Path, truth: Truth) -> None:
    counts: dict[str, int] = {}
    for one in truth:
        for name, tool in one.tools.items():
            counts[name] = counts.get(name, 0) + tool.call_count
    rows = _sqlite3(database, SQL_TOOLS)
    assert {row["tool_name"]: row["total_calls"] for row in rows} == counts
    assert [row["total_calls"] for row in rows] == sorted(counts.values(), reverse=True)


def check_pandas(sessions_dir: Path, one: SessionTruth) -> None:
    """In a process of its own, as a person would run it: pandas' warnings are not ours."""
    path = dict(session_files(sessions_dir))[one.session_id]
    script = PANDAS.replace("'session.jsonl'", repr(str(path)))
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120)
    assert said.returncode == 0, said.stderr
    thinking = "nan" if one.thinking_tokens is None else f"{one.thinking_tokens}"
    found = re.fullmatch(r"Average thinking tokens: (\S+)\nTotal cost: \$(\S+)\n", said.stdout)
    assert found is not None, said.stdout
    assert found[1] == thinking
    assert float(found[2]) == pytest.approx(one.total_cost_usd or 0.0, abs=0.005001)


def gather(sessions_dir: Path, scratch: Path) -> None:
    """All session files in one folder and plain, so that `*.jsonl` means all of them."""
    for session_id, path in session_files(sessions_dir):
        (scratch / f"{session_id}.jsonl").write_bytes(b"".join(line + b"\n" for _, line in read_lines_from(path, 0)))


def _shell(command: str, folder: Path) -> str:
    said = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    assert said.returncode == 0, said.stderr
    assert said.stderr == ""
    return said.stdout


def _json_values(text: str) -> list[Any]:
    decoder = json.JSONDecoder()
    values = []
    text = text.strip()
    while text:
        value, end = decoder.raw_decode(text)
        values.append(value)
        text = text[end:].lstrip()
    return values


def _sqlite3(database: Path, query: str) -> list[dict[str, Any]]:
    said = subprocess.run(
        ["sqlite3", "-readonly", "-json", str(database), query],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert said.returncode == 0, said.stderr
    rows: list[dict[str, Any]] = json.loads(said.stdout or "[]")
    return rows
