"""Every block of docs/queries.md answers its question on recordings whose answers are known."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from lunaroute.query.fields import FIELDS

from .recordings import compress_most, record
from .snippets import REPOSITORY, Block, blocks, run_block

PAGE = "docs/queries.md"
_BLOCKS = [block for block in blocks(PAGE) if block.name is not None]
_SAID = {
    "spend": "claude",
    "spend_day": "0.0",
    "spend_client": "openai",
    "dearest": "$",
    "over_a_cent": "1",
    "unpriced": "0",
    "tokens": "input",
    "cached": "claude",
    "many_tokens": "-7",
    "hours": ":00  ",
    "tools": "Bash",
    "tool_errors": '["Bash",4,1]',
    "bash_sessions": "why does",
    "failed_calls": "No such file",
    "waiting": "Bash,",
    "latency": "p95",
    "ttft": "",
    "slow": "3",
    "own_cost": "",
    "errors": "summarise",
    "provider_said": "529,Overloaded",
    "overloaded": "1",
    "failing_models": "1]",
    "login": "login",
    "tool_said": "1",
    "beginning": "translate the release notes",
    "show": "why does the login test fail?",
    "raw": "translate the release notes",
    "curl": "curl -X POST",
    "share": "<!doctype html>",
    "tail": "completed",
    "tail_errors": "response_recorded,http_error,529",
    "end": "over since ",
    "python_api": "6 of 8 exchanges",
}
"""Block → what its answer has in it."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    folder = tmp_path_factory.mktemp("reader")
    record(folder / ".lunaroute")
    compress_most(folder / ".lunaroute")
    return folder


@pytest.mark.parametrize("block", _BLOCKS, ids=lambda block: block.name)
def test_every_question_is_answered(block: Block, home: Path) -> None:
    said = run_block(block, home, home)
    assert said.strip()
    assert _SAID[block.name or ""] in said


def test_every_block_is_run_and_there_are_thirty() -> None:
    assert [block.name for block in _BLOCKS] == list(_SAID)
    assert len(_BLOCKS) >= 30


def test_every_field_of_a_filter_is_on_the_page() -> None:
    rows = dict(re.findall(r"^\| `(\w+):` \| \w+ \| (.*) \|$", (REPOSITORY / PAGE).read_text(), re.MULTILINE))
    assert rows == {name: field.meaning for name, field in FIELDS.items()}
