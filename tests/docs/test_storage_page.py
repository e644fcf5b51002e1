"""What docs/storage.md says of programs of others, on recordings of which some are compressed and some are not."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from lunaroute.sinks.layout import session_files
from lunaroute.sinks.session_file import read_lines

from .recordings import compress_most, record
from .snippets import Block, blocks, run_block

_BLOCKS = {block.name: block for block in blocks("docs/storage.md") if block.name is not None}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reader")
    record(folder / ".lunaroute")
    compress_most(folder / ".lunaroute")
    return folder


def _sessions(home: Path) -> list[tuple[Path, Counter[str]]]:
    """Each session's file, and how often each type of line is in it."""
    found = [path for _, path in session_files(home / ".lunaroute" / "sessions")]
    assert {path.suffix for path in found} == {".zst", ".jsonl"}
    return [(path, Counter(msgspec.json.decode(line)["type"] for line in read_lines(path))) for path in found]


def _said(block: Block, home: Path) -> str:
    return run_block(block, home / ".lunaroute" / "sessions", home)


def _all_types(home: Path) -> Counter[str]:
    return sum((types for _, types in _sessions(home)), Counter[str]())


@pytest.mark.skipif(shutil.which("jq") is None or shutil.which("zstdcat") is None, reason="needs jq and zstd")
def test_zstdcat_and_jq_see_every_line(home: Path) -> None:
    said = _said(_BLOCKS["storage_jq"], home)
    assert {name: int(count) for count, name in map(str.split, said.splitlines())} == _all_types(home)


def test_duckdb_sees_every_line(home: Path) -> None:
    said = _said(_BLOCKS["storage_duckdb"], home)
    rows = re.findall(r"│ (\w+) +│ +(\d+) │", said)
    assert {name: int(count) for name, count in rows} == _all_types(home)


def test_pandas_sees_what_we_see(home: Path) -> None:
    _, types = max((path, types) for path, types in _sessions(home) if path.suffix == ".zst")
    lines = types.total()
    assert _said(_BLOCKS["storage_pandas"], home) == f"{lines} events, {lines} rows, {len(types)} types\n"


def test_every_block_is_run() -> None:
    assert _BLOCKS.keys() == {"storage_jq", "storage_duckdb", "storage_pandas"}
