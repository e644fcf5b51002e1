"""[pure] Small drawings inside of tables, as SVG: what a number is made of, and how it went.

Widths are attributes of SVG, as the pages' security policy lets no style stand in HTML; colours come from classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from . import numbers

_WIDTH, _HEIGHT = 100.0, 8
_SPARK_HEIGHT = 28.0
_LEAST_FILLED = 0.06


def token_bar(
    input_tokens: int | None,
    cache_read: int | None,
    cache_creation: int | None,
    output: int | None,
    largest: int | None,
) -> Markup:
    """Cached, written to the cache, fresh and output tokens side by side; `largest` fills the whole width."""
    read, written = cache_read or 0, cache_creation or 0
    fresh = max(0, (input_tokens or 0) - read - written)
    parts = (("cached", read), ("written", written), ("fresh", fresh), ("output", output or 0))
    told = ", ".join(
        f"{numbers.short(amount)} {name}"
        for name, amount in zip(
            ("from cache", "written to cache", "fresh", "output"), (a for _, a in parts), strict=True
        )
        if amount
    )
    whole = sum(amount for _, amount in parts)
    # By the root, so that the small beside the large can still be read.
    filled = math.sqrt(whole / largest) if largest and whole < largest else 1.0
    return _bar(parts, whole / max(filled, _LEAST_FILLED) if whole else 1, f"Tokens: {told or 'none'}")


def share_bar(part: float | None, whole: float | None, name: str = "accent") -> Markup:
    """One part of a whole."""
    share = numbers.ratio(part, whole)
    return _bar(((name, min(part or 0, whole or 0)),), max(whole or 0, 1e-12), numbers.percent(share))


def latency_bar(first_ms: float | None, latency_ms: float | None, longest_ms: float | None) -> Markup:
    """Waiting for the first token, then streaming; `longest_ms` fills the whole width."""
    whole = latency_ms or 0.0
    first = min(whole, whole if first_ms is None else first_ms)
    told = f"{numbers.ms(first_ms)} to the first token of {numbers.ms(latency_ms)}"
    return _bar((("wait", first), ("output", whole - first)), max(longest_ms or 0.0, whole, 1e-12), told)


def _bar(parts: Sequence[tuple[str, float]], whole: float, told: str) -> Markup:
    """`told` and the names of `parts` are words of ours, not escaped: pages have hundreds of these."""
    drawn, at = [], 0.0
    for name, amount in parts:
        width = _WIDTH * amount / whole
        if width > 0:
            # A part that is there is seen.
            drawn.append(f'<rect class="fill-{name}" x="{at:.4g}" width="{max(width, 0.6):.4g}" height="{_HEIGHT}"/>')
        at += width
    return Markup(
        f'<svg class="bar" viewBox="0 0 100 {_HEIGHT}" preserveAspectRatio="none" role="img"><title>{told}</title>'
        f'<rect class="fill-track" width="100" height="{_HEIGHT}"/>{"".join(drawn)}</svg>'
    )


def sparkline(values: Sequence[float | None]) -> Markup:
    """How a number went; gaps count as nothing."""
    points = [value or 0.0 for value in values]
    if len(points) < 2 or not any(points):
        return Markup('<svg class="spark" viewBox="0 0 100 28" aria-hidden="true"></svg>')
    top = max(points)
    step = _WIDTH / (len(points) - 1)
    line = " ".join(
        f"{at * step:.1f},{_SPARK_HEIGHT - 2 - value / top * (_SPARK_HEIGHT - 5):.1f}"
        for at, value in enumerate(points)
    )
    return Markup(
        '<svg class="spark" viewBox="0 0 100 28" preserveAspectRatio="none" aria-hidden="true">'
        '<polygon points="0,28 {} 100,28"/><polyline points="{}"/></svg>'
    ).format(line, line)
