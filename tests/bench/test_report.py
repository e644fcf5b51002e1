"""What a run found is said by medians, held against the goals, and kept by machine."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from bench.overhead import report
from bench.overhead.goals import GOALS
from bench.overhead.rounds import Results
from bench.overhead.work import BESIDE_LITELLM, LITELLM, LONG, LUNAROUTE, NGINX, SHORT, SMALL, UNRECORDED, Work

FIGURES = {
    **dict.fromkeys(("answer_p50_us", "first_byte_p50_us", "chunk_p50_us", "chunk_p99_us"), 100.0),
    **{"chunks": 0.0, "cpu_ms": 0.02, "helpers_cpu_ms": 0.001, "peak_mb": 40.0, "growth_mb": 0.0},
}


def small(nginx: list[float], ours: list[float]) -> Results:
    """Rounds of the row of 1 KB, by their CPU-ms."""
    results = Results()
    for proxy, rounds in ((NGINX, nginx), (LUNAROUTE, ours)):
        for cpu_ms in rounds:
            results.add(SMALL.name, proxy, FIGURES | {"cpu_ms": cpu_ms})
    return results


@pytest.mark.parametrize(("ours", "verdict"), [(0.030, "| met |"), (0.031, "| **not met** |")])
def test_a_goal_is_met_up_to_its_limit(ours: float, verdict: str) -> None:
    (line,) = report.goal_table(report.verdicts(small([0.02], [ours]))).splitlines()[2:]
    assert line.endswith(verdict)
    assert f"| {ours / 0.02:.2f} | ≤ 1.50 |" in line


def test_medians_are_compared_not_means() -> None:
    ((_, ratio),) = report.verdicts(small([0.02, 0.02, 9.0], [0.03, 0.03, 0.0001]))
    assert ratio == pytest.approx(1.5)


def test_a_goal_without_figures_is_left_out() -> None:
    assert report.verdicts(Results()) == []


def test_a_least_is_met_from_its_limit_on() -> None:
    results = Results()
    row = BESIDE_LITELLM[0].name
    results.add(row, LUNAROUTE, FIGURES | {"cpu_ms": 0.05})
    results.add(row, LITELLM, FIGURES | {"cpu_ms": 4.9})
    ((goal, ratio),) = report.verdicts(results)
    assert ratio == pytest.approx(98)
    assert not goal.is_met(ratio)
    assert goal.is_met(100)


def test_every_goal_of_a_row_is_of_a_row_that_is_measured() -> None:
    measured = {(work.name, proxy) for work in (*SHORT, *BESIDE_LITELLM) for proxy in work.proxies}
    needed = {need for goal in GOALS for need in goal.needs if " × " in need[0]}
    assert needed - measured == set()
    assert {proxy for _, proxy in needed} == {NGINX, LUNAROUTE, UNRECORDED, LITELLM}


def test_rows_have_names_of_their_own() -> None:
    assert len({work.name for work in LONG}) == len(LONG)


def test_the_long_form_has_every_kind_of_work() -> None:
    assert {work.body_bytes for work in LONG} == {1_000, 50_000, 400_000, 1_000_000}
    assert {1, 32, 256, 1000} <= {work.connections for work in LONG}
    kinds = {(work.chunks > 0, work.every_ms > 0) for work in LONG}
    assert kinds == {(False, False), (True, False), (True, True)}
    assert {(work.is_tls, work.workers) for work in LONG} >= {(False, 1), (True, 1), (False, 2)}


def test_a_crowd_is_one_paced_stream_for_each_connection() -> None:
    crowd = Work(1000, 1000, chunks=30, every_ms=100)
    assert crowd.is_crowd
    assert crowd.most_requests == 1000
    assert crowd.least_seconds(0.1) > crowd.ramp_ms / 1000, "or the last ones would not begin"
    assert not Work(1000, 1000).is_crowd


def test_results_are_kept_by_machine_as_page_and_figures(tmp_path: Path) -> None:
    results = small([0.02, 0.03], [0.03, 0.03])
    about = {"machine": "Some CPU @ 3.0 GHz, 2 cores"}
    page = report.keep(tmp_path, "short", about, results)
    folder = tmp_path / "some-cpu-3-0-ghz-2-cores"
    assert (folder / "short.md").read_text(encoding="utf-8") == page
    kept = json.loads((folder / "short.json").read_text(encoding="utf-8"))
    assert [figures["cpu_ms"] for figures in kept["rounds"][SMALL.name][NGINX]] == [0.02, 0.03]
    assert [(goal["measured"], goal["is_met"]) for goal in kept["goals"]] == [(pytest.approx(1.2), True)]
    assert page.splitlines()[-1].startswith("| CPU ÷ nginx's"), "the goals come last"


def test_a_machine_is_named_by_its_processor_and_not_by_its_host() -> None:
    name = report.machine()
    assert name.endswith(" cores")
    assert socket.gethostname() not in name
