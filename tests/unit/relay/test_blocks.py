"""The file of blocks, as the relay reads it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec
import pytest

from lunaroute.relay.blocks import Block, Blocks


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "blocks.json"


def put(path: Path, *blocks: Block) -> None:
    aside = path.with_suffix(".new")
    aside.write_bytes(msgspec.json.encode(list(blocks)))
    os.replace(aside, path)


def block(lasts_s: float = 60.0) -> Block:
    return Block(message="no", until_s=time.time() + lasts_s)


def test_a_file_that_comes_changes_and_goes_is_followed(path: Path) -> None:
    blocks = Blocks(path, frozenset())
    assert not blocks.look()
    put(path, block())
    assert blocks.look()
    put(path)
    assert not blocks.look()
    put(path, block())
    assert blocks.look()
    path.unlink()
    assert not blocks.look()


def test_a_block_ends_at_its_time_though_nobody_takes_it_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(path, block(60))
    blocks = Blocks(path, frozenset())
    assert blocks.look()
    later_s = time.time() + 61
    monkeypatch.setattr(time, "time", lambda: later_s)
    assert not blocks.look()


def test_what_nobody_understands_blocks_nothing(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(path, block())
    blocks = Blocks(path, frozenset())
    assert blocks.look()
    path.write_bytes(b'[{"message":')
    assert not blocks.look()
    assert not blocks.look()
    assert capsys.readouterr().err.count("nothing is blocked") == 1
