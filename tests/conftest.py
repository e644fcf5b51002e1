"""Nothing is tested that is not what the sources say."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lunaroute.compiled import stale_modules
from lunaroute.encryption.keys import KEY_VARIABLE, look_for_keys


def pytest_sessionstart() -> None:
    stale = stale_modules()
    if stale:
        pytest.exit(f"compiled from older sources: {stale[0].name}; run `make compile`", returncode=2)


@pytest.fixture
def encrypted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A key is there, for this process and for those that it starts."""
    monkeypatch.setenv(KEY_VARIABLE, "42" * 32)
    look_for_keys()
    yield
    monkeypatch.undo()
    look_for_keys()
