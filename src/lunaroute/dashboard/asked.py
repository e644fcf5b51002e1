"""What a request asks for: query parameters → a filter, a span of time, a page.

`q` is a filter in the language of `query.grammar`; `range` one of RANGES, which counts where the filter names no
`since:`. Everything stands in the address, so that it can be kept and shared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal
from urllib.parse import urlencode

import msgspec

from lunaroute.errors import FilterError
from lunaroute.query.filter import Filter
from lunaroute.query.grammar import parse_filter
from lunaroute.query.tenant import of_tenant
from lunaroute.query.usage import Dimension

RANGES: Final = {
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "90d": timedelta(days=90),
    "all": None,
}
DIMENSIONS: Final[Mapping[str, Dimension]] = {name: name for name in ("hour", "day", "provider", "model", "client")}
MAX_LIMIT: Final = 500


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The same for pages and for the API."""

    text: str
    """The filter as typed."""
    range: str
    wanted: Filter
    now: datetime
    parameters: Mapping[str, str]
    has_typed_since: bool = False
    """The filter itself says since when."""

    @property
    def previous(self) -> Filter | None:
        """The same over the span before, as long; None where there is no span."""
        since, until = self.wanted.since, self.wanted.until or self.now
        if since is None or until <= since:
            return None
        return msgspec.structs.replace(self.wanted, since=since - (until - since), until=since)

    @property
    def days(self) -> float | None:
        """How long the span is; None = all of history."""
        since, until = self.wanted.since, self.wanted.until or self.now
        return None if since is None else max(0.0, (until - since) / timedelta(days=1))

    @property
    def grain(self) -> Literal["hour", "day"]:
        """What charts over this span are drawn by."""
        return "hour" if self.days is not None and self.days <= 3.01 else "day"

    @property
    def has_own_times(self) -> bool:
        """The filter names times, so that `range` says nothing."""
        return self.has_typed_since or self.wanted.until is not None

    def query(self, **changes: str | None) -> str:
        """The query string of this request with other values; None leaves one out."""
        values = {"q": self.text, "range": self.range, **changes}
        return urlencode({name: value for name, value in values.items() if value})

    def number(self, name: str, usual: int, most: int = MAX_LIMIT) -> int:
        """A whole number from 1 on. Raises FilterError."""
        text = self.parameters.get(name) or str(usual)
        if not text.isascii() or not text.isdigit() or not 1 <= int(text[:12]) <= most:
            raise FilterError(f"{name}={text[:40]}: must be a whole number from 1 to {most}")
        return int(text)

    def choice(self, name: str, choices: Sequence[str], usual: str) -> str:
        """One of `choices`. Raises FilterError."""
        text = self.parameters.get(name) or usual
        if text not in choices:
            raise FilterError(f"{name}={text[:40]}: must be one of {', '.join(choices)}")
        return text

    def dimensions(self) -> list[Dimension]:
        """What `by` groups by. Raises FilterError."""
        names = [name for name in self.parameters.get("by", "").split(",") if name]
        return [DIMENSIONS[self._dimension(name)] for name in names]

    def _dimension(self, name: str) -> str:
        if name not in DIMENSIONS:
            raise FilterError(f"by={name[:40]}: must be some of {', '.join(DIMENSIONS)}")
        return name


def read_asked(
    parameters: Mapping[str, str], usual_range: str = "all", now: datetime | None = None, tenant: str | None = None
) -> Asked:
    """`tenant`: who asks may see this one's only. Raises FilterError."""
    now = now or datetime.now(UTC)
    text = parameters.get("q", "").strip()
    span = parameters.get("range") or usual_range
    if span not in RANGES:
        raise FilterError(f"range={span[:40]}: must be one of {', '.join(RANGES)}")
    wanted = parse_filter(text, now)
    has_typed_since = wanted.since is not None
    length = RANGES[span]
    if length is not None and wanted.since is None:
        wanted = msgspec.structs.replace(wanted, since=now - length)
    if tenant is not None:
        wanted = of_tenant(wanted, tenant)
    return Asked(text=text, range=span, wanted=wanted, now=now, parameters=parameters, has_typed_since=has_typed_since)
