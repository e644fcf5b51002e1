"""LunaRoute: a session recorder for LLM traffic.

Bytes pass through untouched and at once; a copy goes to an append-only spool on disk; another process
turns the spool into typed events, and the events into files, an index and live views.
"""

__version__ = "0.1.0"
