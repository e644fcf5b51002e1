"""docs/scale.md says what the model says, and the model knows only what the other pages say."""

from __future__ import annotations

import re

import pytest
from bench.scale.__main__ import PAGE, written
from bench.scale.figures import ASSUMED, measured
from bench.scale.fleet import Fleet, node_limits
from bench.scale.work import works


def test_the_page_is_what_the_model_says_now() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert written(page) == page, "run: python -m bench.scale --write"


def test_a_row_that_is_not_there_is_no_number() -> None:
    with pytest.raises(SystemExit, match="has no row"):
        measured("docs/performance.md", "3 KB, 32 at a time", "CPU-ms relay")
    with pytest.raises(SystemExit, match="has no row"):
        measured("docs/performance.md", "1 KB, plain answer", "CPU-ms of somebody else")


def test_the_spool_holds_the_bodies_and_little_more() -> None:
    for work in works().values():
        assert work.wire_bytes < work.spool_bytes < work.wire_bytes + 5_000


def test_more_traffic_needs_more_of_everything_and_an_outage_waits_longer_than_it_lasts_only_in_gigabytes() -> None:
    work = works()["turns"]
    small, large = Fleet(work, 1_000), Fleet(work, 100_000)
    assert 90 * small.busy_cores < large.busy_cores < 110 * small.busy_cores
    assert small.nodes <= large.nodes
    assert large.nodes * node_limits(work)[0].rate >= large.peak
    waits = [large.outage(minutes)[0] for minutes in (0, 5, 60, 480)]
    assert waits == sorted(waits)
    assert waits[0] == 0


def test_every_assumption_has_a_reason() -> None:
    assert all(re.fullmatch(r"[A-Z0-9`].*\.", one.why) for one in ASSUMED.values())
