"""What a run found: tables for people, JSON for programs, kept by machine."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from lunaroute import __version__

from .goals import GOALS, Goal
from .rounds import Results
from .work import LUNAROUTE, NGINX

REPOSITORY = Path(__file__).parents[2]
_ADDED = ("answer_p50_us", "first_byte_p50_us", "chunk_p50_us", "chunk_p99_us")


def machine() -> str:
    """The processor's name and how many of them there are."""
    found = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return f"{found[1].strip() if found else platform.machine()}, {os.cpu_count()} cores"


def folder_name(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def conditions(load_average: float) -> dict[str, str]:
    """What the figures depend on."""
    nginx = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True).stderr
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    ).stdout.strip()
    is_compiled = any((REPOSITORY / "src/lunaroute/relay").glob("*.so"))
    return {
        "machine": machine(),
        "lunaroute": f"{__version__} {commit}, {'compiled' if is_compiled else 'not compiled'}",
        "nginx": nginx.strip().rpartition("/")[2],
        "python": platform.python_version(),
        "kernel": platform.release().partition("-")[0],
        "load average before": f"{load_average:.1f}",
    }


def details(results: Results) -> str:
    """A line for each row that nginx and LunaRoute have in common."""
    lines = [
        "| work | CPU-ms nginx | CPU-ms LunaRoute | of it keeper | ratio | p50 added, ms | first byte added "
        "| chunk's delay added, p50 | p99 | memory, MB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in results.rows:
        if results.has(row, NGINX) and "cpu_ms" in results.rounds[row, NGINX][0]:
            lines.append(_detail(results, row))
    return "\n".join(lines)


def _detail(results: Results, row: str) -> str:
    nginx, ours = (results.median(row, proxy, "cpu_ms") for proxy in (NGINX, LUNAROUTE))
    keeper = results.median(row, LUNAROUTE, "helpers_cpu_ms")
    added = [results.median(row, LUNAROUTE, name) - results.median(row, NGINX, name) for name in _ADDED]
    has_chunks = results.median(row, NGINX, "chunks") > 0
    shown = [f"{us / 1000:.3f}" if index < 2 or has_chunks else "" for index, us in enumerate(added)]
    peak = results.most(row, LUNAROUTE, "peak_mb")
    cells = [row, f"{nginx:.4f}", f"{ours:.4f}", f"{keeper:.4f}", f"{ours / nginx:.2f}", *shown, f"{peak:.0f}"]
    return f"| {' | '.join(cells)} |"


def verdicts(results: Results, goals: Iterable[Goal] = GOALS) -> list[tuple[Goal, float]]:
    """The goals that this run has figures for."""
    return [(goal, goal.figure(results)) for goal in goals if all(results.has(*need) for need in goal.needs)]


def goal_table(found: Iterable[tuple[Goal, float]]) -> str:
    lines = ["| | measured | goal | |", "|---|---|---|---|"]
    for goal, value in found:
        sign, unit = "≥" if goal.is_least else "≤", f" {goal.unit}" if goal.unit else ""
        verdict = "met" if goal.is_met(value) else "**not met**"
        lines.append(f"| {goal.name} | {_number(value)}{unit} | {sign} {_number(goal.limit)}{unit} | {verdict} |")
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def page(title: str, about: Mapping[str, str], results: Results) -> str:
    """The run as Markdown, the goals last."""
    head = [f"# {title}", "", *(f"- {name}: {value}" for name, value in about.items())]
    return "\n".join([*head, "", details(results), "", goal_table(verdicts(results)), ""])


def keep(folder: Path, name: str, about: Mapping[str, str], results: Results) -> str:
    """Write `name.md` and `name.json` into the machine's folder. Returns the page."""
    place = folder / folder_name(about["machine"])
    place.mkdir(parents=True, exist_ok=True)
    text = page(f"`make bench`, {name}", about, results)
    rows: dict[str, dict[str, object]] = {}
    for (row, proxy), rounds in results.rounds.items():
        rows.setdefault(row, {})[proxy] = rounds
    goals = [
        {"name": goal.name, "measured": value, "limit": goal.limit, "unit": goal.unit, "is_met": goal.is_met(value)}
        for goal, value in verdicts(results)
    ]
    (place / f"{name}.md").write_text(text, encoding="utf-8")
    document = {"conditions": dict(about), "goals": goals, "rounds": rows}
    (place / f"{name}.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return text
