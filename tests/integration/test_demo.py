"""`lunaroute demo` from end to end: it ends well, says where everything is, and what it tells to paste works."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from lunaroute.demo.agent import AGENT_NAMES
from lunaroute.events.types import RequestRecorded
from tests.support.server import clean_environment, sessions


class Demo(msgspec.Struct, frozen=True, kw_only=True):
    home: Path
    exit_code: int
    said: str
    complained: str

    @property
    def queries(self) -> list[str]:
        return [line.strip() for line in self.said.partition("Ask them something:\n")[2].splitlines() if line.strip()]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    home = tmp_path_factory.mktemp("demo") / "a home"
    ended = subprocess.run(
        [sys.executable, "-m", "lunaroute", "demo", "--exit", "--speed", "0", "--home", str(home)],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return Demo(home=home, exit_code=ended.returncode, said=ended.stdout, complained=ended.stderr)


def test_it_ends_well_and_quietly(demo: Demo) -> None:
    assert (demo.exit_code, demo.complained) == (0, ""), demo.said
    assert "Traceback" not in (demo.home / "demo-server.log").read_text()


def test_its_table_has_every_agent_and_agrees_with_the_sdks(demo: Demo) -> None:
    table = demo.said.partition("Recorded sessions")[2].partition("Files")[0]
    assert all(name in table for name in AGENT_NAMES)
    assert f"tokens of all {len(AGENT_NAMES)} agents equal what their SDKs" in demo.said


def test_the_files_it_names_are_all_there_is(demo: Demo) -> None:
    named = {line.strip() for line in demo.said.splitlines() if re.search(r"\.(jsonl|jsonl\.zst|db)$", line)}
    found = {str(session.path) for session in sessions(demo.home)}
    assert named == found | {str(demo.home / "sessions" / "sessions.db")}
    assert len(found) >= len(AGENT_NAMES)


def test_what_an_sdk_tried_again_names_the_request_that_it_repeats(demo: Demo) -> None:
    """Agents with the same task and client run beside it, all of which begin with the same words."""
    retried = {}
    for session in sessions(demo.home):
        requests = [event for event in session.events if isinstance(event, RequestRecorded)]
        assert len({one.thread_id for one in requests}) == 1
        retries = [one.retry_of for one in requests if one.retry_of is not None]
        if retries:
            retried[requests[0].thread_id] = (retries, requests[0].request_id)
    assert retried.keys() == {"claude-overloaded", "openai-chat-limited"}
    assert all(retries == [first] for retries, first in retried.values())


def test_its_three_queries_run_as_pasted(demo: Demo) -> None:
    for tool in ("jq", "sqlite3"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    jq, sql, listing = (_pasted(line) for line in demo.queries)
    rows = [json.loads(line) for line in jq.splitlines()]
    assert rows
    assert any(outcome == "completed" and total > 0 for _, outcome, total in rows)
    assert all(re.fullmatch(r"\w+\|\d+", line) for line in sql.splitlines())
    assert "read_file" in sql
    assert len([line for line in listing.splitlines() if line.strip()]) > len(AGENT_NAMES)


def _pasted(line: str) -> str:
    """What a shell says to the line, in an environment with our command in it."""
    search = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(
        ["bash", "-c", line],
        env=clean_environment() | {"PATH": search},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ended.returncode, ended.stderr) == (0, ""), (line, ended.stderr)
    assert ended.stdout
    return ended.stdout
