"""[io] Sessions in forms that others read. In: sessions and their files. Out: bytes, to whatever is written to.

Everything that was said is in an export; `redacted` makes copies without secrets, from which to export.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from lunaroute.config import DEFAULT_UPSTREAMS
from lunaroute.errors import NoSuchSession
from lunaroute.events import Event
from lunaroute.query.sessions import SessionSummary
from lunaroute.query.stores.base import Index
from lunaroute.query.transcript import show_session
from lunaroute.sinks.layout import existing_file
from lunaroute.sinks.session_file import BadLine, read_events, read_lines

from . import tables
from .finetune import finetune_lines
from .har import har_document
from .html import html_page
from .otlp import otlp_lines


def write_export(
    form: str,
    sessions: Sequence[SessionSummary],
    index: Index,
    sessions_dir: Path,
    out: BinaryIO,
    upstreams: Mapping[str, str] = DEFAULT_UPSTREAMS,
) -> None:
    """Write the sessions as `form`: jsonl, csv, parquet, html, finetune, har or otlp. `upstreams`, provider name → base
    URL, are where a HAR says that requests went. Raises NoSuchSession, OSError, LunarouteError."""
    match form:
        case "jsonl":
            for one in sessions:
                out.writelines(line + b"\n" for line in read_lines(_file(sessions_dir, one.session_id)))
        case "csv":
            tables.write_csv(index, sessions, out)
        case "parquet":
            tables.write_parquet(index, sessions, out)
        case "html":
            pages = [(one, show_session(sessions_dir, one.session_id)) for one in sessions]
            out.write(html_page(pages).encode("utf-8", "replace"))
        case "finetune":
            for one in sessions:
                out.writelines(finetune_lines(_events(sessions_dir, one.session_id)))
        case "har":
            events = (event for one in sessions for event in _events(sessions_dir, one.session_id))
            out.writelines(har_document(events, upstreams))
        case "otlp":
            for one in sessions:
                out.writelines(otlp_lines(one, _events(sessions_dir, one.session_id)))
        case _:
            raise ValueError(f"no form of export: {form}")


def _file(sessions_dir: Path, session_id: str) -> Path:
    path = existing_file(sessions_dir, session_id)
    if path is None:
        raise NoSuchSession(f"the file of session {session_id} is not in {sessions_dir}")
    return path


def _events(sessions_dir: Path, session_id: str) -> Iterator[Event]:
    bad: list[BadLine] = []
    return read_events(_file(sessions_dir, session_id), bad.append)
