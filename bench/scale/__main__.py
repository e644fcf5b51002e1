"""What breaks first when traffic grows, and what recording it costs: a model of a fleet, made of what was measured.

In: the tables of docs/performance.md and docs/storage.md, read here by the names of their rows, and the assumptions
of `figures`, each with its reason. Out: the tables of docs/scale.md (`--write` puts them there). Nothing is measured by
running it, and nothing in it is random: a fleet is followed minute by minute as amounts, not as single requests.

    python -m bench.scale [--write]
"""

from __future__ import annotations

import argparse
import sys

from .figures import ASSUMED, MONTH_S, REPOSITORY, assumed
from .fleet import Fleet, node_limits
from .work import works

PAGE = REPOSITORY / "docs" / "scale.md"
BEGIN, END = "<!-- model: {} -->\n", "<!-- end -->"
RATES = (1_000, 10_000, 100_000, 1_000_000)


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)]
    return "\n".join(lines) + "\n"


def _n(value: float) -> str:
    if value >= 10_000:  # three figures are more than the model knows
        digits = 10 ** (len(str(int(value))) - 3)
        return f"{int(value / digits + 0.5) * digits:,}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def sections() -> dict[str, str]:
    kinds = list(works().values())
    hops = [
        ("client ⇄ relay, and relay ⇄ provider, each", lambda one: one.wire_bytes),
        ("relay → spool", lambda one: one.spool_bytes),
        ("recorder → session file, plain", lambda one: one.file_bytes),
        ("recorder → index", lambda one: one.index_bytes),
        ("housekeeper → session file, compressed; → archive", lambda one: one.packed_bytes),
        ("→ column store (assumed)", lambda _: assumed("row_bytes")),
    ]
    per_node = [
        [
            one.name,
            f"{one.relay_cpu_ms:.3f}",
            f"{one.recorder_cpu_ms:.3f}",
            *(f"{limit.name}: {_n(limit.rate)}" for limit in node_limits(one)[:2]),
        ]
        for one in kinds
    ]
    fleets = [Fleet(works()["turns"], rate) for rate in RATES]
    outages = [(fleet, minutes) for fleet in fleets[:3] for minutes in (5, 60, 480)]
    return {
        "assumptions": table(
            ["name", "value", "unit", "why"],
            [[f"`{name}`", f"{one.value:,.10g}", one.unit, one.why] for name, one in ASSUMED.items()],
        ),
        "hops": table(
            ["hop", *(one.name for one in kinds)], [[name, *(_n(of(one)) for one in kinds)] for name, of in hops]
        ),
        "node": table(
            ["exchange", "relay, CPU-ms", "recorder, CPU-ms", "tightest, exchanges/s", "next, exchanges/s"], per_node
        ),
        "fleet": table(
            [
                "exchanges/s",
                "of",
                "nodes",
                "busy cores",
                "wire, GB/s",
                "index, GB/day",
                "archive, GB/day",
                "puts/s",
                "store nodes",
            ],
            [
                [
                    _n(one.rate),
                    one.work.name,
                    _n(one.nodes),
                    _n(one.busy_cores),
                    _n(one.rate * one.work.wire_bytes / 1e9),
                    _n(one.index_gb_a_day),
                    _n(one.archive_gb_a_day),
                    _n(one.puts_a_second),
                    _n(one.store_nodes),
                ]
                for one in (Fleet(kind, rate) for rate in RATES for kind in kinds)
            ],
        ),
        "cost": table(
            ["exchanges/s", *fleets[0].usd_a_month, "together, US$ a month", "US$ a million exchanges"],
            [
                [
                    _n(one.rate),
                    *(_n(usd) for usd in one.usd_a_month.values()),
                    _n(sum(one.usd_a_month.values())),
                    f"{sum(one.usd_a_month.values()) / (one.rate * MONTH_S / 1e6):.2f}",
                ]
                for one in fleets
            ],
        ),
        "outage": table(
            ["exchanges/s", "store down, min", "waits on a node, GB", "caught up after, min", "spool's limit met"],
            [
                [_n(fleet.rate), str(minutes), _n(gb), _n(after), "yes" if is_met else "no"]
                for fleet, minutes in outages
                for gb, after, is_met in [fleet.outage(minutes)]
            ],
        ),
    }


def written(page: str) -> str:
    """The page with the tables as they are now."""
    for name, text in sections().items():
        begin = BEGIN.format(name)
        before, found, rest = page.partition(begin)
        if not found:
            raise SystemExit(f"docs/scale.md has no place for {name}")
        page = before + begin + text + END + rest.partition(END)[2]
    return page


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put the tables into docs/scale.md")
    if parser.parse_args().write:
        PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
        return
    for name, text in sections().items():
        sys.stdout.write(f"{name}\n\n{text}\n")


if __name__ == "__main__":
    main()
