"""Whether memory stays flat while something large, or something without end, passes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .processes import forget_peak, peak_bytes, resident_bytes
from .proxies import Proxy
from .rounds import MB, Results
from .tools import send_once
from .work import KB

_MB_BYTES = 1000 * KB
CASES = {  # row → bytes of the body, query
    "body of 100 MB": (100 * _MB_BYTES, "bytes=1500"),
    "answer of 100 MB": (KB, f"bytes={100 * _MB_BYTES}"),
    "stream of 180,000 chunks, as of an hour": (KB, "chunks=180000"),
}


def measure_memory(folder: Path, proxies: Mapping[str, Proxy], results: Results) -> None:
    """How far each proxy's memory grows, from before the request to its peak."""
    for row, (body_bytes, query) in CASES.items():
        for name, proxy in proxies.items():
            before = resident_bytes(proxy.pids)
            forget_peak(proxy.pids)
            send_once(folder, proxy.port, body_bytes, query)
            peak = peak_bytes(proxy.pids)
            results.add(row, name, {"peak_mb": peak / MB, "growth_mb": (peak - before) / MB})
            proxy.sent_count += 1
            proxy.wait_until_recorded()
