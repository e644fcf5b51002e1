"""What breaks first when traffic grows, and what recording it costs: a model of a fleet, made of what was measured.

In: the tables of docs/performance.md and docs/storage.md, read here by the names of their rows, and the assumptions
below, each with its reason. Out: the tables of docs/scale.md (`--write` puts them there). Nothing is measured by
running it, and nothing in it is random: a fleet is followed minute by minute as amounts, not as single requests.

    python bench/scale_model.py [--write]
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lunaroute.capture.records import (
    ExchangeClosed,
    Opening,
    Record,
    RequestChunk,
    ResponseChunk,
    ResponseOpened,
)
from lunaroute.spool.frame import encode_opening, encode_record, frame_head, opened_payload

REPOSITORY = Path(__file__).resolve().parents[1]
PAGE = REPOSITORY / "docs" / "scale.md"
OVERHEAD = "bench/results/amd-epyc-2-cores/long.md"
BEGIN, END = "<!-- model: {} -->\n", "<!-- end -->"
DAY_S = 86_400
MONTH_S = 30 * DAY_S
RATES = (1_000, 10_000, 100_000, 1_000_000)


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


# ---- one exchange -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Work:
    """A kind of exchange: what it costs and weighs."""

    name: str
    request_bytes: int
    events: int
    """Of the answer's stream; 0 = it is not streamed."""
    relay_cpu_ms: float
    recorder_cpu_ms: float
    file_bytes: float
    packed_bytes: float
    index_bytes: float

    @property
    def answer_bytes(self) -> int:
        """A stream's are those of the recorder's benchmark, by what it read of 1 KB requests."""
        if not self.events:
            return 1_000
        row = "1 KB, stream of 100 events"
        rate = measured("docs/performance.md", row, "exchanges/s")
        return int(measured("docs/performance.md", row, "MB/s") * 1e6 / rate) - 1_000

    @property
    def wire_bytes(self) -> int:
        """Of both directions, bodies alone, once: client and relay, or relay and provider."""
        return self.request_bytes + self.answer_bytes

    @property
    def spool_bytes(self) -> int:
        return sum(len(frame) for frame in _frames(self))

    @property
    def recorder_rate(self) -> float:
        """Exchanges a second of one recorder, planned with headroom."""
        return assumed("headroom") * 1000 / self.recorder_cpu_ms


def _frames(work: Work) -> Iterator[bytes]:
    """The exchange as the relay puts it into the spool, by the spool's own code; heads as an SDK sends them."""
    head = (
        b"Host: api.example.com\r\nContent-Type: application/json\r\nUser-Agent: sdk/1.0\r\n"
        + b"X-Header: value\r\n" * 8
    )
    opening = encode_opening(
        Opening("anthropic", "anthropic", "POST", "/v1/messages", "/v1/messages", "1.1", head, [], "fp")
    )
    body = bytes(work.request_bytes)
    payload = opened_payload(1, bytes(16), len(body), b"10.0.0.1", opening, body[:32_768], 1)
    yield frame_head(4, 1, 1, 1, payload) + payload
    records: list[Record] = [
        RequestChunk(1, 1, body[at : at + 65_536], None) for at in range(32_768, len(body), 65_536)
    ]
    records.append(ResponseOpened(1, 1, 200, "OK", head))
    chunks = work.events or 1
    records += [ResponseChunk(1, 1, bytes(work.answer_bytes // chunks))] * chunks
    records.append(ExchangeClosed(1, 1, "completed", None, 1, 1, 1))
    for record in records:
        yield encode_record(1, record)


def works() -> dict[str, Work]:
    """Streams of long requests were not measured: what a stream adds to 1 KB is added to them."""
    stream = (
        relay_ms("1 KB, stream of 100 chunks × 32") - relay_ms("1 KB × 32"),
        recorder_ms("1 KB, stream of 100 events") - recorder_ms("1 KB, plain answer"),
    )

    def weight(row: str) -> tuple[float, float, float]:
        page = "docs/storage.md"
        return (
            measured(page, row, "files plain"),
            measured(page, row, "files compressed"),
            measured(page, row, "index"),
        )

    small = [
        measured("docs/storage.md", "API client, small", name) for name in ("exchanges", "plain MB", "compressed KB")
    ]
    return {
        "api": Work(
            name="API call, 1 KB",
            request_bytes=1_000,
            events=0,
            relay_cpu_ms=relay_ms("1 KB × 32"),
            recorder_cpu_ms=recorder_ms("1 KB, plain answer"),
            file_bytes=small[1] * 1e6 / small[0],
            packed_bytes=small[2] * 1e3 / small[0],
            index_bytes=assumed("small_index"),
        ),
        "turns": _streamed("agent's first turns, 50 KB", 50_000, "50 KB", stream, weight("short sessions")),
        "agent": _streamed("agent's later turns, 400 KB", 400_000, "400 KB", stream, weight("session of 202")),
    }


def _streamed(
    name: str, request_bytes: int, size: str, stream: tuple[float, float], weight: tuple[float, float, float]
) -> Work:
    return Work(
        name,
        request_bytes,
        100,
        relay_ms(f"{size} × 32") + stream[0],
        recorder_ms(f"{size}, plain answer") + stream[1],
        *weight,
    )


# ---- a fleet ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Limit:
    """What a node can take of one thing, in exchanges a second."""

    name: str
    rate: float


def node_limits(work: Work) -> list[Limit]:
    """Of a node with one home, the tightest first."""
    written = work.spool_bytes + work.file_bytes + work.packed_bytes + 2 * work.index_bytes  # the WAL holds rows twice
    cores = assumed("node_cores") - 1
    per_exchange_s = work.relay_cpu_ms / 1000 + work.spool_bytes / (assumed("keeper") * 1e6)
    found = [
        Limit("the one recorder process", work.recorder_rate),
        Limit("cores for relays and keepers", assumed("headroom") * cores / per_exchange_s),
        Limit("disk", assumed("headroom") * assumed("disk") * 1e6 / written),
        Limit("network", assumed("headroom") * assumed("network") * 1e6 / work.wire_bytes),
    ]
    return sorted(found, key=lambda one: one.rate)


@dataclass(frozen=True)
class Fleet:
    """What a mean rate of exchanges needs, where the day's height has to be carried."""

    work: Work
    rate: int

    @property
    def peak(self) -> float:
        return self.rate * (1 + assumed("wave"))

    @property
    def nodes(self) -> int:
        return max(1, math.ceil(self.peak / node_limits(self.work)[0].rate))

    @property
    def store_nodes(self) -> int:
        return max(1, math.ceil(self.peak * assumed("rows") / assumed("store_rows")))

    @property
    def busy_cores(self) -> float:
        """Mean, over the day."""
        seconds = (self.work.relay_cpu_ms + self.work.recorder_cpu_ms) / 1000
        return self.rate * (seconds + self.work.spool_bytes / (assumed("keeper") * 1e6))

    @property
    def index_gb_a_day(self) -> float:
        return self.rate * DAY_S * self.work.index_bytes / 1e9

    @property
    def archive_gb_a_day(self) -> float:
        return self.rate * DAY_S * self.work.packed_bytes / 1e9

    @property
    def puts_a_second(self) -> float:
        return self.rate / assumed("session")

    @property
    def usd_a_month(self) -> dict[str, float]:
        """For a month that has come to its end, with all of it kept."""
        machines = self.nodes * assumed("node_cores") + self.store_nodes * assumed("node_cores")
        month = MONTH_S / DAY_S
        return {
            "machines": machines * assumed("core_hour") * MONTH_S / 3600,
            "node disks": self.nodes * 2 * assumed("spool_gb") * assumed("disk_month"),
            "column store": self.rate * MONTH_S * assumed("row_bytes") / 1e9 * assumed("disk_month") / 2,
            "objects": self.archive_gb_a_day * month * assumed("object_month") / 2,
            "puts": self.puts_a_second * MONTH_S * assumed("object_put"),
        }

    def outage(self, minutes: int, start_minute: int = 9 * 60) -> tuple[float, float, bool]:
        """The store is down for so long, from the morning on, and recorders hold the spool: (GB that wait on a node at
        most, minutes until nothing waits any more, whether the spool's limit was met). By minutes of two days."""
        capacity = self.nodes * self.work.recorder_rate / assumed("headroom")
        waiting = most = 0.0
        for minute in range(start_minute, start_minute + 2 * 24 * 60):
            arriving = self.rate * (1 + assumed("wave") * math.sin(2 * math.pi * (minute / 1440 - 0.25)))
            is_down = minute < start_minute + minutes
            waiting = max(0.0, waiting + (arriving - (0 if is_down else capacity)) * 60)
            most = max(most, waiting)
            if waiting == 0:
                after = minute - start_minute - minutes
                break
        else:
            after = math.inf
        gb = most * self.work.spool_bytes / self.nodes / 1e9
        return gb, after, gb > assumed("spool_gb")


# ---- the page -----------------------------------------------------------------------------------------------


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
