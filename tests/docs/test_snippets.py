"""Every snippet of the cookbook and of the README gives the right answer on recordings whose numbers are known."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .recordings import CHAT_MODEL, MODEL, TRUTH, compress_most, record
from .snippets import Block, blocks, run_block

PAGES = ("docs/cookbook.md", "README.md")
_BLOCKS = [block for page in PAGES for block in blocks(page) if block.name is not None]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for tool in ("jq", "sqlite3", "zstdcat"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    folder = tmp_path_factory.mktemp("reader")
    record(folder / ".lunaroute")
    compress_most(folder / ".lunaroute")
    return folder


def _rows(output: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(output or "[]")
    return rows


def _lines(output: str) -> list[str]:
    return output.splitlines()


def _check_nothing(output: str) -> None:
    assert output == ""


def _check_cost_of_each(output: str) -> None:
    table = [line.split("\t") for line in _lines(output)]
    assert [int(count) for _, count, _ in table] == [3, 3, 2]
    assert all(float(usd) > 0 for _, _, usd in table)


def _check_cost_of_all(output: str) -> None:
    # 1 and 5 US dollars a million tokens of Anthropic's model, 2 and 8 of OpenAI's.
    anthropic = (400 + 500 + 600 + 10 + 700) * 1 + (12_500 + 40 + 60 + 5 + 15) * 5
    openai = (300 + 900) * 2 + (20 + 30) * 8
    assert float(output) == pytest.approx((anthropic + openai) / 1e6)


def _check_cost_by_day(output: str) -> None:
    rows = _rows(output)
    assert sum(row["requests"] for row in rows) == TRUTH.exchange_count
    assert sum(row["total_tokens"] for row in rows) == TRUTH.input_tokens + TRUTH.output_tokens
    assert {row["model_name"] for row in rows} == {MODEL, CHAT_MODEL}


def _check_cost_by_tag(output: str) -> None:
    [row] = _rows(output)
    assert (row["tag"], row["sessions"], row["cost_usd"]) == ("nightly", 1, pytest.approx(0.0028))


def _check_one_session(output: str) -> None:
    assert len(_lines(output)) == 1


def _check_cache_share(output: str) -> None:
    rows = _rows(output)
    assert sum(row["input_tokens"] for row in rows) == TRUTH.input_tokens


def _check_resent_share(output: str) -> None:
    rows = _rows(output)
    assert [row["request_count"] for row in rows] == [3, 3, 2]
    agent, streamed, runs = (row["resent_percent"] for row in rows)
    assert 0 < agent < 100
    assert 0 < streamed < 100
    assert runs == 0


def _check_cache_misses(output: str) -> None:
    """No provider in these recordings says that it caches."""
    assert _rows(output) == []


def _check_retries(output: str) -> None:
    [row] = _rows(output)
    assert (row["outcome"], row["status_code"], row["then_outcome"]) == ("http_error", 529, "completed")


def _check_threads(output: str) -> None:
    rows = _rows(output)
    assert [(row["thread_kind"], row["threads"], row["requests"]) for row in rows] == [
        ("main", 1, 3),
        ("main", 1, 3),
        ("main", 2, 2),  # the same request twice under one tag: two runs
    ]


def _check_tools_of_each(output: str) -> None:
    assert [json.loads(line) for line in _lines(output)] == [{"Bash": 3, "Read": 1}, {"Bash": 1}, {}]


def _check_tools_shallow(output: str) -> None:
    """What the page warns of: three of four calls are missing."""
    assert {name: use["call_count"] for name, use in json.loads(output).items()} == {"Bash": 1, "Read": 1}


def _check_tools(output: str) -> None:
    tools = json.loads(output)
    assert {name: use["call_count"] for name, use in tools.items()} == TRUTH.tools
    assert {name for name, use in tools.items() if use["error_count"]} == {TRUTH.failed_tool}


def _check_tools_sql(output: str) -> None:
    assert [(row["tool_name"], row["total_calls"], row["errors"]) for row in _rows(output)] == [
        ("Bash", 4, 1),
        ("Read", 1, 0),
    ]


def _check_failed_calls(output: str) -> None:
    [row] = _rows(output)
    assert (row["tool_name"], row["arguments"], row["error"]) == ("Bash", '{"n":1}', "No such file")


def _check_overhead(output: str) -> None:
    rows = _rows(output)
    assert len(rows) == TRUTH.session_count
    assert all(0 < row["overhead_pct"] < 100 for row in rows)


def _check_first_token(output: str) -> None:
    [row] = _rows(output)
    assert (row["model_name"], row["streams"]) == (MODEL, 1)
    assert row["max_ms"] > 0


def _check_failures(output: str) -> None:
    [row] = _rows(output)
    assert (row["status_code"], row["outcome"], row["error_type"]) == (529, "http_error", "overloaded_error")


def _check_search(output: str) -> None:
    [row] = _rows(output)
    assert row["kind"] == "user"
    assert "[login] test" in row["found"]


def _check_asked(output: str) -> None:
    said = [line.split("  ", 1)[1] for line in _lines(output)]
    assert said == [
        "why does the login test fail?",
        *["summarise the log file"] * 2,
        "which errors?",
        *["translate the release notes"] * 2,
    ]


def _check_last_request(output: str) -> None:
    assert json.loads(output) == [{"role": "user", "content": "translate the release notes"}]


def _check_raw_stream(output: str) -> None:
    assert output.startswith("event: message_start\ndata: {")
    assert "event: message_stop" in output


def _check_pandas_session(output: str) -> None:
    assert output == "Average thinking tokens: 12000\nTotal cost: $0.06\n"


def _check_pandas_index(output: str) -> None:
    counts = {line.split()[0]: line.split()[1:3] for line in _lines(output)[2:]}
    assert {name: [float(count) for count in both] for name, both in counts.items()} == {
        MODEL: [2210, 12_620],
        CHAT_MODEL: [1200, 50],
    }


def _check_exact_bytes(output: str) -> None:
    assert output.startswith(f"{2 * TRUTH.exchange_count} bodies")


def _check_duckdb(output: str) -> None:
    for model, responses, tokens in ((MODEL, 5, 12_620), (CHAT_MODEL, 2, 50)):
        assert re.search(rf"{model}\S* +│ +{responses} │ +{tokens} │", output), output


CHECKS: dict[str, Callable[[str], None]] = {
    "enter": _check_nothing,
    "cost_of_each": _check_cost_of_each,
    "cost_of_all": _check_cost_of_all,
    "cost_by_day": _check_cost_by_day,
    "cost_by_tag": _check_cost_by_tag,
    "thinkers": _check_one_session,
    "cache_share": _check_cache_share,
    "resent_share": _check_resent_share,
    "cache_misses": _check_cache_misses,
    "retries": _check_retries,
    "threads": _check_threads,
    "tools_of_each": _check_tools_of_each,
    "tools_shallow": _check_tools_shallow,
    "tools_of_all": _check_tools,
    "tools_sql": _check_tools_sql,
    "failed_calls": _check_failed_calls,
    "overhead": _check_overhead,
    "first_token": _check_first_token,
    "failures": _check_failures,
    "search": _check_search,
    "asked": _check_asked,
    "last_request": _check_last_request,
    "raw_stream": _check_raw_stream,
    "pandas_session": _check_pandas_session,
    "pandas_index": _check_pandas_index,
    "duckdb_files": _check_duckdb,
    "exact_bytes": _check_exact_bytes,
}
"""By the snippet's name."""


@pytest.mark.parametrize("block", _BLOCKS, ids=lambda block: f"{block.page}-{block.name}")
def test_snippet_gives_the_known_answer(block: Block, home: Path) -> None:
    assert block.name in CHECKS, f"{block.page}: no check for {block.name}"
    CHECKS[block.name](run_block(block, home / ".lunaroute" / "sessions", home))


def test_every_check_has_a_snippet() -> None:
    assert {block.name for block in _BLOCKS} == CHECKS.keys()


def test_no_snippet_of_the_cookbook_is_left_out() -> None:
    assert [block.text for block in blocks("docs/cookbook.md") if block.name is None] == []
