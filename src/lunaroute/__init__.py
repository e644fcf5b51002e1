"""LunaRoute: a session recorder for LLM traffic.

Bytes pass through untouched and at once; a copy goes to an append-only spool on disk; another process
turns the spool into typed events, and the events into files, an index and live views.

`lunaroute.open()` and `lunaroute.read_events(path)` read what was recorded (`lunaroute.api`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lunaroute.api import open, read_events

__version__ = "0.1.0"
__all__ = ["__version__", "open", "read_events"]


def __getattr__(name: str) -> Any:
    # Imported when asked for: every process begins with this module, and the relay needs nothing of it.
    if name in {"open", "read_events"}:
        import importlib

        return getattr(importlib.import_module("lunaroute.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
