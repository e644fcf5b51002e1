"""What an import found."""

from __future__ import annotations

import msgspec

from lunaroute.sinks.session_file import BadLine


class ImportReport(msgspec.Struct, kw_only=True):
    """What an import found."""

    file_count: int = 0
    session_count: int = 0
    """Sessions that were written."""
    exchange_count: int = 0
    """Exchanges in them."""
    known_count: int = 0
    """Exchanges (of a home: sessions) that were recorded already."""
    bad_lines: list[BadLine] = []
    """Lines that could not be read, and were passed over."""
    problems: list[str] = []
    """Files that could not be read, a line each."""
