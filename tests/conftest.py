"""Nothing is tested that is not what the sources say."""

from __future__ import annotations

import pytest

from lunaroute.compiled import stale_modules


def pytest_sessionstart() -> None:
    stale = stale_modules()
    if stale:
        pytest.exit(f"compiled from older sources: {stale[0].name}; run `make compile`", returncode=2)
