"""The goals, each as a figure of the results and what it has to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from . import work
from .memory import CASES
from .rounds import Results
from .work import LITELLM, LUNAROUTE, NGINX, UNRECORDED, Work

Figure = Callable[[Results], float]
MOST_GROWTH_MB = 16.0
"""More than buffers need, and far less than what passes."""


@dataclass(frozen=True)
class Goal:
    name: str
    limit: float
    unit: str
    needs: tuple[tuple[str, str], ...]
    """(row, proxy) that have to be measured for it."""
    figure: Figure
    is_least: bool = False
    """The limit is the least it may be; otherwise the most."""

    def is_met(self, value: float) -> bool:
        return value >= self.limit if self.is_least else value <= self.limit


def recorder_row(name: str) -> str:
    return f"recorder: {name}"


def _cpu_ratio(row: Work, limit: float) -> Goal:
    def figure(results: Results) -> float:
        return results.median(row.name, LUNAROUTE, "cpu_ms") / results.median(row.name, NGINX, "cpu_ms")

    return Goal(f"CPU ÷ nginx's: {row.name}", limit, "", _both(row), figure)


def _added(what: str, row: Work, name: str, limit_ms: float) -> Goal:
    def figure(results: Results) -> float:
        return (results.median(row.name, LUNAROUTE, name) - results.median(row.name, NGINX, name)) / 1000

    return Goal(f"{what} minus nginx's: {row.name}", limit_ms, "ms", _both(row), figure)


def _memory(row: Work, limit_mb: float) -> Goal:
    needs = ((row.name, LUNAROUTE),)
    return Goal(f"memory: {row.name}", limit_mb, "MB", needs, lambda results: results.most(*needs[0], "peak_mb"))


def _growth(row: str) -> Goal:
    needs = ((row, LUNAROUTE),)
    return Goal(
        f"memory grows: {row}", MOST_GROWTH_MB, "MB", needs, lambda results: results.most(*needs[0], "growth_mb")
    )


def _recording(row: Work, limit_ms: float) -> Goal:
    def figure(results: Results) -> float:
        return results.median(row.name, LUNAROUTE, "cpu_ms") - results.median(row.name, UNRECORDED, "cpu_ms")

    needs = ((row.name, LUNAROUTE), (row.name, UNRECORDED))
    return Goal(f"cost of recording: {row.name}", limit_ms, "CPU-ms", needs, figure)


def _litellm(row: Work) -> Goal:
    def figure(results: Results) -> float:
        return results.median(row.name, LITELLM, "cpu_ms") / results.median(row.name, LUNAROUTE, "cpu_ms")

    needs = ((row.name, LUNAROUTE), (row.name, LITELLM))
    return Goal(f"LiteLLM's CPU ÷ ours: {row.name}", 100, "", needs, figure, is_least=True)


def _recorder(name: str, figure_name: str, limit: float, unit: str, *, is_least: bool = True) -> Goal:
    row = recorder_row(name)
    needs = ((row, LUNAROUTE),)
    return Goal(row, limit, unit, needs, lambda results: results.median(*needs[0], figure_name), is_least)


def _both(row: Work) -> tuple[tuple[str, str], ...]:
    return (row.name, NGINX), (row.name, LUNAROUTE)


GOALS = (
    *(_cpu_ratio(row, 1.5) for row in (work.SMALL, work.SMALL_ALONE)),
    *(_cpu_ratio(row, 1.2) for row in (work.MIDDLE, work.MIDDLE_ALONE, work.LARGE, work.LARGE_ALONE)),
    _added("p50", work.SMALL_ALONE, "answer_p50_us", 0.10),
    _added("p50", work.MIDDLE_ALONE, "answer_p50_us", 0.10),
    _added("p50", work.LARGE_ALONE, "answer_p50_us", 0.25),
    _added("first byte, p50", work.PACED, "first_byte_p50_us", 0.10),
    _added("chunk's delay, p50", work.PACED, "chunk_p50_us", 0.10),
    *(_litellm(row) for row in work.BESIDE_LITELLM),
    _recorder("1 KB, plain answer", "per_s", 8000, "/s"),
    _recorder("50 KB, plain answer", "mb_per_s", 200, "MB/s"),
    _recorder("400 KB, plain answer", "mb_per_s", 400, "MB/s"),
    _recorder("1 KB, stream of 100 events", "cpu_ms", 0.3, "CPU-ms", is_least=False),
    _added("chunk's delay, p99", work.CROWD, "chunk_p99_us", 5.0),
    _memory(work.CROWD, 80),
    *(_growth(row) for row in CASES),
    *(_recording(row, 0.15) for row in (work.LARGE_WITHOUT, work.LARGE_ALONE_WITHOUT)),
)
