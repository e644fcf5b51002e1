"""Every block of docs/importing.md works for somebody who has transcripts and another home."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.unit.transcripts import rows
from tests.unit.transcripts.rows import block, lines, text, user

from .recordings import TRUTH, record
from .snippets import blocks, run_block

PAGE = "docs/importing.md"
_SAID = {
    "import_claude_code": "1 sessions with 2 exchanges imported from 1 files.",
    "import_codex": "1 sessions with 1 exchanges imported from 1 files.",
    "list_imported": "mend the flak",
    "search_imported": "flaky",
    "imported_unpriced": "[3,57,1]",
    "import_home": f"{TRUTH.session_count} sessions with {TRUTH.exchange_count} exchanges imported",
}
"""Block → what its answer has in it; the blocks are run in this order."""


def test_the_page_works_from_top_to_bottom(tmp_path: Path) -> None:
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    _write(
        tmp_path / ".claude" / "projects" / "-notes" / "one.jsonl",
        user(0, "mend the flaky test"),
        block(1, "msg_1", text("It waits for time."), output=50, stop_reason="end_turn"),
        user(60, "thanks"),
        block(61, "msg_2", text("Gladly.")),
    )
    _write(
        tmp_path / ".codex" / "sessions" / "2026" / "11" / "20" / "rollout-2026-11-20T10-00-00-x.jsonl",
        rows.meta(),
        rows.rollout(0, "turn_context", model="gpt-5-codex"),
        rows.said(1, "user", "hello"),
        rows.said(2, "assistant", "hi"),
        rows.counts(2, (20, 0, 7, 0)),
    )
    record(tmp_path / "laptop" / ".lunaroute")
    named = [one for one in blocks(PAGE) if one.name is not None]
    assert [one.name for one in named] == list(_SAID)
    for one in named:
        assert _SAID[one.name or ""] in run_block(one, tmp_path, tmp_path), one.name


def _write(path: Path, *told: object) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\n".join(lines(*told)) + b"\n")  # type: ignore[arg-type]
