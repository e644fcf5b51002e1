"""Whether the compiled hot path (see hatch_build.py) still is what its sources say; of interest in a checkout only."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent


def stale_modules() -> list[Path]:
    """Sources that were changed after they had been compiled. Python would run the old code without a word."""
    if not (_PACKAGE.parents[1] / "hatch_build.py").exists():
        return []
    extensions = _PACKAGE.rglob("*.so")
    sources = [(path, path.with_name(path.name.partition(".")[0] + ".py")) for path in extensions]
    return [source for path, source in sources if source.stat().st_mtime > path.stat().st_mtime]
