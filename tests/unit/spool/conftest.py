"""A lane, opened and closed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.spool.lane import Lane


@pytest.fixture
def lane(tmp_path: Path) -> Iterator[Lane]:
    lane = Lane(tmp_path / "spool")
    yield lane
    lane.writer.close([], 0)
    lane.follower.close()
