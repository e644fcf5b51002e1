"""What a client wrote down itself, against what was recorded of the same run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.clients.both_ways import BothWays
from tests.support.server import query


def check_transcripts(ways: BothWays, client: str, folder: str) -> None:
    """Imported beside the recording, the client's transcripts add nothing; imported alone, they tell of the same
    answers and calls."""
    home, alone = ways.folder / "lunaroute", ways.folder / f"alone-{client}"
    transcripts = ways.folder / "relayed" / "home" / folder
    before = _rows(home)
    assert _import(client, transcripts, home).startswith("0 sessions with 0 exchanges")
    assert _rows(home) == before
    first = _import(client, transcripts, alone)
    assert not first.startswith("0 sessions")
    wire, told = _answers(home), _answers(alone)
    assert set(told) <= set(wire)
    calls = [row for answer in told for row in told[answer]["calls"]]
    assert calls
    for response_id, answer in told.items():
        assert answer == wire[response_id] | {"output_tokens": answer["output_tokens"]}
        assert answer["output_tokens"] in (None, wire[response_id]["output_tokens"])
    assert _import(client, transcripts, alone).startswith("0 sessions with 0 exchanges")


def _import(client: str, transcripts: Path, home: Path) -> str:
    command = [sys.executable, "-m", "lunaroute", "import", client, str(transcripts), "--home", str(home)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    return done.stdout


def _rows(home: Path) -> list[dict[str, Any]]:
    return query(home / "sessions" / "sessions.db", "SELECT * FROM session_stats ORDER BY request_id")


def _answers(home: Path) -> dict[str, dict[str, Any]]:
    """Response id → its counts, and the calls with their results."""
    database = home / "sessions" / "sessions.db"
    calls = query(
        database,
        "SELECT request_id, tool_name, tool_call_id, arguments, success, exit_code, output_size_bytes"
        " FROM tool_call_executions ORDER BY tool_call_id",
    )
    answers = query(
        database,
        "SELECT response_id, request_id, model_used, input_tokens, cache_read_tokens, output_tokens, finish_reason"
        " FROM session_stats WHERE response_id IS NOT NULL",
    )
    return {
        one["response_id"]: {key: value for key, value in one.items() if key not in ("request_id", "finish_reason")}
        | {"calls": [list(call.values())[1:] for call in calls if call["request_id"] == one["request_id"]]}
        for one in answers
    }
