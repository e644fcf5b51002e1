"""The cells of docs/notebook.md run one after the other, on recordings whose answers are known."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from lunaroute.sinks.layout import session_files
from lunaroute.sinks.session_file import zstd

from .recordings import TRUTH, record
from .snippets import blocks, reader_environment

PAGE = "docs/notebook.md"
_SAID = {
    "open": f"<{TRUTH.session_count} × SessionSummary>",
    "typed": "3 requests $",
    "pandas": "gpt-4.1",
    "polars": "('Bash', 4,",
    "arrow": "claude-haiku-4-5",
    "went_wrong": "http_error Overloaded\ntool_result in ",
    "story": "why does the login test fail?",
    "events": f"{TRUTH.exchange_count} responses, ",
}
"""Cell → what it prints, among other things."""
_MARK = "-- cell --"


def test_the_cells_run_from_top_to_bottom(tmp_path: Path) -> None:
    home = tmp_path / ".lunaroute"
    record(home)
    _, path = next(session_files(home / "sessions"))
    path.with_suffix(".jsonl.zst").write_bytes(zstd.compress(path.read_bytes()))
    path.unlink()
    cells = [block for block in blocks(PAGE) if block.language == "python"]
    assert [cell.name for cell in cells] == list(_SAID)
    notebook = f"\nprint({_MARK!r})\n".join(cell.text for cell in cells)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", notebook],
        env=reader_environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    for (name, said), printed in zip(_SAID.items(), done.stdout.split(f"{_MARK}\n"), strict=True):
        assert said in printed, (name, printed)
