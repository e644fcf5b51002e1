"""Code blocks of the documentation: pages in, blocks out, and running them as a reader would.

A block below the invisible line `<!-- runs: NAME -->` is run by the tests. NAME is known to the test that checks its
answer.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

REPOSITORY = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^(?:<!-- runs: (\w+) -->\n)?```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(msgspec.Struct, frozen=True, kw_only=True):
    page: str
    language: str
    text: str
    name: str | None
    """None: it is only to be read."""


def blocks(page: str) -> list[Block]:
    """Every code block of a page, in order; `page` is relative to the repository."""
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    return [
        Block(page=page, language=language, text=body, name=name or None)
        for name, language, body in _FENCE.findall(text)
    ]


def reader_environment(home: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """A reader whose home folder is `home` and who has installed this program."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("LUNAROUTE_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{ours.get('PATH', '')}"
    return {**ours, "HOME": str(home), "PATH": path, **(more or {})}


def run_block(block: Block, folder: Path, home: Path) -> str:
    """What the block prints. Fails when it fails, or says anything on stderr."""
    done = subprocess.run(
        _command(block),
        cwd=folder,
        env=reader_environment(home),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, ""), f"{block.page}, {block.name}: {done.stderr or done.returncode}"
    return done.stdout


def _command(block: Block) -> list[str]:
    match block.language:
        case "bash":
            return ["bash", "-euo", "pipefail", "-c", block.text]
        case "sql":
            return ["sqlite3", "-readonly", "-json", "sessions.db", block.text]
        case "python":
            return [sys.executable, "-c", block.text]
        case language:
            raise AssertionError(f"{block.page}: a block of {language!r} cannot be run")
