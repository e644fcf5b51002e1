"""`make bench`: run the rows, keep the results, print the tables.

Proxies on the first core, or on as many as they have workers; provider, client, recorder and all else on the others;
the spool's keeper where the kernel puts it. On a machine of two cores that leaves one for all else, also where two
workers are measured.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import recorder_throughput
from lunaroute.supervisor.limits import allow_many_files

from .goals import recorder_row
from .memory import measure_memory
from .processes import put_on
from .proxies import Place, nginx, started
from .report import REPOSITORY, conditions, keep
from .rounds import Results, measure
from .tools import compile_tools, make_certificate, missing, provider
from .work import BESIDE_LITELLM, BOTH, LONG, LUNAROUTE, SHORT, SMOKE, Work


def main() -> None:
    options = _options()
    if packages := missing():
        sys.exit(f"bench: first install {', '.join(packages)}")
    works = [work for work in _works(options) if options.rows in work.name]
    rounds = options.rounds or (5 if options.long else 3)
    seconds = options.seconds or (1.0 if options.long else 0.25)
    name = "litellm" if options.litellm else "smoke" if options.smoke else "long" if options.long else "short"
    about = conditions(os.getloadavg()[0]) | ({"note": options.note} if options.note else {})
    results = Results()
    is_whole = not (options.litellm or options.smoke or options.rows)
    if is_whole:
        measure_recorder(results)  # first: afterwards many files are removed (see there)
    with tempfile.TemporaryDirectory(prefix="lunaroute-bench-") as folder:
        watcher_count = options.watchers
        run(
            Path(folder),
            works,
            rounds,
            seconds,
            results,
            options.litellm,
            watcher_count=watcher_count,
            measures_memory=is_whole and not watcher_count,
        )
    print(keep(options.results, name, about, results))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--long", action="store_true", help="all rows")
    parser.add_argument("--smoke", action="store_true", help="one small row, to see that everything works")
    parser.add_argument("--rounds", type=int, help="how often each row is measured")
    parser.add_argument("--seconds", type=float, help="length of a round")
    parser.add_argument("--rows", default="", help="only rows whose name contains this")
    parser.add_argument("--litellm", type=Path, help="LiteLLM's program: measure 1 KB beside it")
    parser.add_argument("--watchers", type=int, default=0, help="so many pages of the dashboard are open meanwhile")
    parser.add_argument("--note", help="what else is to be known of the machine at the moment; kept with the results")
    parser.add_argument("--results", type=Path, default=REPOSITORY / "bench" / "results")
    return parser.parse_args()


def _works(options: argparse.Namespace) -> Sequence[Work]:
    if options.litellm:
        return BESIDE_LITELLM
    if options.smoke:
        return SMOKE
    return LONG if options.long else SHORT


def run(
    folder: Path,
    works: Sequence[Work],
    rounds: int,
    seconds: float,
    results: Results,
    litellm: Path | None = None,
    *,
    watcher_count: int = 0,
    measures_memory: bool = False,
) -> None:
    """Measure the rows; those with the same number of workers together."""
    all_cores = sorted(os.sched_getaffinity(0))
    most_workers = max(work.workers for work in works)
    os.sched_setaffinity(0, all_cores[most_workers:] or all_cores[-1:])
    allow_many_files()  # a proxy that must not open its sockets cannot be compared
    compile_tools(folder)
    make_certificate(folder)
    with ExitStack() as stack:
        stack.callback(os.sched_setaffinity, 0, all_cores)
        plain_port = stack.enter_context(provider(folder))
        tls = stack.enter_context(nginx(Place(folder, plain_port, 0), 1, name="tls", is_tls=True))
        place = Place(folder, plain_port, tls.port, litellm and litellm.absolute(), watcher_count)
        for workers in sorted({work.workers for work in works}):
            group = [work for work in works if work.workers == workers]
            names = list(dict.fromkeys(name for work in group for name in work.proxies))
            with started(names, place, workers, all_cores[:workers]) as proxies:
                for proxy in proxies.values():
                    put_on(all_cores, proxy.helpers)
                measure(folder, proxies, group, rounds, seconds, results)
                if measures_memory and workers == 1:
                    measure_memory(folder, {name: proxies[name] for name in BOTH}, results)


def measure_recorder(results: Results) -> None:
    """The recorder alone, over a spool that was written before; in this process."""
    for name, size, events, count, per_session in recorder_throughput.ROWS:
        cpu_s, mb = recorder_throughput.run(size, events, count, per_session, profile=False, redact=False)
        figures = {"cpu_ms": cpu_s / count * 1e3, "per_s": count / cpu_s, "mb_per_s": mb / cpu_s}
        results.add(recorder_row(name), LUNAROUTE, figures)
        print(f"recorder: {name}", file=sys.stderr)


if __name__ == "__main__":
    main()
