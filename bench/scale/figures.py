"""What the model of a fleet is made of: figures that were measured, and assumptions, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
OVERHEAD = "bench/results/amd-epyc-2-cores/long.md"
DAY_S = 86_400
MONTH_S = 30 * DAY_S


# ---- what was measured --------------------------------------------------------------------------------------


def measured(page: str, row: str, column: str) -> float:
    """A cell of a table of a page: the first row that begins with `row` in a table that has the column."""
    columns: list[str] = []
    for line in (REPOSITORY / page).read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            columns = []
        elif not columns:
            columns = cells
        elif cells[0] == row and column in columns:
            return float(cells[columns.index(column)].replace(",", ""))
    raise SystemExit(f"{page} has no row {row!r} with a column {column!r}")


def relay_ms(work: str) -> float:
    """Without the keeper's part, which is a stage of its own here."""
    return measured(OVERHEAD, work, "CPU-ms LunaRoute") - measured(OVERHEAD, work, "of it keeper")


def recorder_ms(work: str) -> float:
    return measured("docs/performance.md", work, "CPU-ms an exchange")


# ---- what is assumed ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Assumption:
    value: float
    unit: str
    why: str


ASSUMED = {
    "headroom": Assumption(
        0.6, "of a core", "Traffic comes in waves; a core that is planned full has no answer to one."
    ),
    "node_cores": Assumption(
        8, "cores a node", "A usual machine; of it a home uses relays, a keeper and one recorder."
    ),
    "disk": Assumption(1_000, "MB/s a node", "What a local NVMe disk takes in the long run; not measured here."),
    "network": Assumption(3_000, "MB/s a node", "25 Gbit/s, each way."),
    "keeper": Assumption(
        1_000, "MB/s a core", "By `bench/results` between 750 (400 KB, one at a time) and 6,000; on the safe side."
    ),
    "small_index": Assumption(3_300, "bytes", "`make seed-million`: 3.3 GB for 1,012,202 small exchanges."),
    "session": Assumption(50, "exchanges a session", "Agents of the corpus have 48 to 288, API clients 5."),
    "prefix_puts": Assumption(3_500, "puts/s", "Of one prefix of a bucket, by the word of the largest provider."),
    "rows": Assumption(
        4, "rows an exchange", "Exchange, text, tool calls and a part of its session, in a column store."
    ),
    "row_bytes": Assumption(600, "bytes an exchange", "In a column store, compressed: 560 of `make bench-fleet`."),
    "store_rows": Assumption(
        200_000, "rows/s a store node", "One shipper was measured (docs/stores.md), not what a node takes from many."
    ),
    "core_hour": Assumption(0.045, "US$", "A core of a rented machine for an hour, with its memory."),
    "disk_month": Assumption(0.08, "US$ a GB", "Block storage for a month."),
    "object_month": Assumption(0.023, "US$ a GB", "Object storage for a month, the first class."),
    "object_put": Assumption(0.000005, "US$", "A put; a push makes one for each session, and reads it back."),
    "spool_gb": Assumption(
        200, "GB a node", "What of the node's disk the spool may take (`recording.spool_max_bytes`)."
    ),
    "wave": Assumption(0.5, "of the mean", "How much more there is at the day's height, and less in its depth."),
}


def assumed(name: str) -> float:
    return ASSUMED[name].value
