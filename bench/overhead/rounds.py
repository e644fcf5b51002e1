"""Rounds: the same work through one proxy after the other, again and again."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from .processes import cpu_ns, forget_peak, peak_bytes, wait_until_quiet
from .proxies import Proxy
from .tools import Figures, load
from .work import Work

MB = 1e6


class Results:
    """The rounds' figures by row and proxy."""

    def __init__(self) -> None:
        self.rounds: dict[tuple[str, str], list[Figures]] = {}

    def add(self, row: str, proxy: str, figures: Figures) -> None:
        self.rounds.setdefault((row, proxy), []).append(figures)

    def has(self, row: str, proxy: str) -> bool:
        return (row, proxy) in self.rounds

    def median(self, row: str, proxy: str, name: str) -> float:
        return statistics.median(figures[name] for figures in self.rounds[row, proxy])

    def most(self, row: str, proxy: str, name: str) -> float:
        return max(figures[name] for figures in self.rounds[row, proxy])

    @property
    def rows(self) -> list[str]:
        return list(dict.fromkeys(row for row, _ in self.rounds))


def measure(
    folder: Path,
    proxies: Mapping[str, Proxy],
    works: Sequence[Work],
    rounds: int,
    seconds: float,
    results: Results,
    say: Callable[[str], None] = lambda text: print(text, file=sys.stderr),
) -> None:
    """Proxies take turns within a row, in reversed order every other time. What each does first is not counted:
    programs load then what they had left for later."""
    for proxy in proxies.values():
        proxy.sent_count += int(load(folder, proxy.port, works[0], seconds)["requests"])
    for proxy in proxies.values():
        proxy.wait_until_recorded()
    for number in range(rounds):
        for work in works:
            order = work.proxies if number % 2 else work.proxies[::-1]
            for name in order:
                results.add(work.name, name, one_round(folder, proxies[name], work, seconds))
            say(f"round {number + 1} of {rounds}: {work.name}")


def one_round(folder: Path, proxy: Proxy, work: Work, seconds: float) -> Figures:
    """What the work took, with all that the keeper does for it, which it may do later."""
    proxy.check()
    wait_until_quiet(proxy.helpers)
    forget_peak(proxy.pids)
    relays_ns, helpers_ns = cpu_ns(proxy.relays), cpu_ns(proxy.helpers)
    figures = load(folder, proxy.port, work, seconds)
    relays_ns = cpu_ns(proxy.relays) - relays_ns
    wait_until_quiet(proxy.helpers)
    helpers_ns = cpu_ns(proxy.helpers) - helpers_ns
    requests = figures["requests"]
    figures["helpers_cpu_ms"] = helpers_ns / 1e6 / requests
    figures["cpu_ms"] = (relays_ns + helpers_ns) / 1e6 / requests
    figures["peak_mb"] = peak_bytes(proxy.pids) / MB
    proxy.sent_count += int(requests)
    proxy.wait_until_recorded()
    return figures
