"""A session to export."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from lunaroute.export import write_export
from lunaroute.query.index import open_index
from lunaroute.query.sessions import find_session
from tests.builders import TEN_OCLOCK, Call, SessionScript, tokens
from tests.unit.query.conftest import record

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>"


@pytest.fixture
def script(tmp_path: Path) -> SessionScript:
    call = Call("Bash", "c1", '{"cmd": "make"}')
    script = SessionScript("one", TEN_OCLOCK)
    script.turn("=build it", f"sure {EVIL}", tokens=tokens(100, 7, 2), cost_usd=0.5, calls=[call])
    script.result(call, "built", execution_ms=20.0)
    script.turn("", "done", tokens=tokens(120, 3)).turn("more", "", outcome="http_error").complete()
    record(tmp_path, script)
    return script


Export = Callable[[str], bytes]


@pytest.fixture
def export(tmp_path: Path, script: SessionScript) -> Export:
    def run(form: str) -> bytes:
        index = open_index(tmp_path / "sessions" / "sessions.db")
        assert index is not None
        out = io.BytesIO()
        try:
            write_export(form, [find_session(index, script.session_id)], index, tmp_path / "sessions", out)
        finally:
            index.close()
        return out.getvalue()

    return run
