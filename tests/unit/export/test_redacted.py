"""A session that was recorded as it was, redacted for sharing, and what is shown before."""

from __future__ import annotations

import hashlib
import json
import re
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from lunaroute.cli import cli
from lunaroute.events import Event, decode_event, encode_event
from lunaroute.events.bodies import request_bytes, response_bytes
from lunaroute.events.types import RequestRecorded, ResponseRecorded
from lunaroute.export.redacted import EventRedactor
from lunaroute.recorder.pipeline import Pipeline
from lunaroute.recorder.pipeline_state import PipelineSettings
from lunaroute.redact.settings import RedactionSettings
from tests.builders import TEN_OCLOCK, Call, SessionScript
from tests.exchanges import EVENT_STREAM, ExchangeScript
from tests.secrets import EVERYTHING, SECRETS, leaked, pieces, sse
from tests.traffic import anthropic_request, both
from tests.unit.query.conftest import record

KEY = SECRETS["anthropic key"][1]


def _streamed_events() -> list[Event]:
    events = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
        for piece in pieces(EVERYTHING)
    ]
    script = ExchangeScript(body=anthropic_request(EVERYTHING))
    script.answer(200, at_ms=20, headers=EVENT_STREAM)
    body = sse(events, named=True)
    for number, at in enumerate(range(0, len(body), 500)):
        script.chunk(body[at : at + 500], at_ms=30 + number)
    pipeline = Pipeline(PipelineSettings())
    script.close(at_ms=900)
    return [event for item in both(script) for event in pipeline.feed(item)]


def test_every_event_is_redacted_its_stream_too_and_its_hashes_fit() -> None:
    redactor = EventRedactor(RedactionSettings(mode="mask", key=b"k", patterns={"badge": r"\bEMP-\d{8}\b"}))
    events = _streamed_events()
    assert len(leaked(b"\n".join(map(encode_event, events)))) > 60
    shown = [redactor.redact(event)[0] for event in events]
    assert leaked(b"\n".join(map(encode_event, shown))) == {}
    for event in shown:
        if isinstance(event, RequestRecorded | ResponseRecorded):
            body = request_bytes(event) if isinstance(event, RequestRecorded) else response_bytes(event)
            assert event.body_sha256 == hashlib.sha256(body).hexdigest()
            assert event.redaction is not None
            assert event.redaction.original_size_bytes
        if isinstance(event, ResponseRecorded) and event.response_body is not None:
            assert sum(size for _, size in event.response_body.chunks or []) == len(response_bytes(event))


@pytest.fixture
def script(tmp_path: Path) -> SessionScript:
    call = Call("Bash", "c1", json.dumps({"cmd": f"export K={KEY}"}))
    script = SessionScript("one", TEN_OCLOCK)
    script.turn(f"use {KEY} and bob@example.com", f"using {KEY}", calls=[call])
    script.result(call, f"set {KEY}", execution_ms=20.0)
    script.turn("", "done").complete()
    record(tmp_path, script)
    return script


def _export(home: Path, session_id: str, *options: str) -> str:
    result = CliRunner().invoke(cli, ["sessions", "export", session_id, "--home", str(home), *options])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("form", ["jsonl", "html", "finetune", "har", "otlp"])
def test_every_form_of_export_can_be_redacted(tmp_path: Path, script: SessionScript, form: str) -> None:
    has_texts = KEY in _export(tmp_path, script.session_id, f"--format={form}")
    assert has_texts or form in ("har", "otlp"), "these hold bodies and figures, and the script has no bodies"
    shown = _export(tmp_path, script.session_id, f"--format={form}", "--redact")
    assert KEY not in shown
    assert "bob@example.com" not in shown
    assert not has_texts or "[redacted:anthropic_key]" in shown
    if form == "jsonl":
        assert [decode_event(line.encode()).seq for line in shown.splitlines()] == list(range(len(shown.splitlines())))


def test_a_file_that_is_exported_to_is_for_its_owner_only(tmp_path: Path, script: SessionScript) -> None:
    _export(tmp_path, script.session_id, "-o", str(tmp_path / "out.jsonl"))
    assert stat.S_IMODE((tmp_path / "out.jsonl").stat().st_mode) == 0o600


def test_forms_of_the_index_cannot_be_redacted_and_say_so(tmp_path: Path, script: SessionScript) -> None:
    arguments = ["sessions", "export", script.session_id, "--home", str(tmp_path), "--format=csv", "--redact"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2
    assert "csv" in result.output


def test_the_preview_says_what_where_and_how_often_and_writes_nothing(tmp_path: Path, script: SessionScript) -> None:
    before = {path: path.read_bytes() for path in (tmp_path / "sessions").rglob("*.jsonl")}
    shown = _export(tmp_path, script.session_id, "--preview")
    assert re.search(r"request_recorded +request_text +anthropic_key +1 +1 +\d", shown)
    assert re.search(r"tool_call_recorded +output_text +anthropic_key +1 +1 +\d", shown)
    assert re.search(r"request_recorded +request_text +email +1 +1 +\d", shown)
    assert KEY not in shown
    assert {path: path.read_bytes() for path in (tmp_path / "sessions").rglob("*.jsonl")} == before
