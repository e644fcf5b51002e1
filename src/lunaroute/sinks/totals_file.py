"""`totals.json`: the recorder's totals as it last wrote them, for those who tell others."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from lunaroute.events.totals import Totals

TOTALS_FILE: Final = "totals.json"


def read_totals(run_dir: Path) -> Totals:
    """Empty where there is none."""
    with suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode((run_dir / TOTALS_FILE).read_bytes(), type=Totals)
    return Totals()
