"""Exports are read by programs that are not ours. `make test-exports` installs those that are not here."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lunaroute.config import DEFAULT_UPSTREAMS
from lunaroute.events.types import RequestRecorded
from lunaroute.export.har import provider_url
from tests.builders import SessionScript

from .conftest import Export

INSTALLED = Path(os.environ.get("LUNAROUTE_EXPORT_READERS", "build/exports"))


def _module(name: str) -> Any:
    return pytest.importorskip(name, reason=f"{name} is not installed: make test-exports")


def test_har_validator_finds_nothing_to_say(export: Export, tmp_path: Path) -> None:
    if shutil.which("node") is None or not (INSTALLED / "node_modules" / "har-validator").is_dir():
        pytest.skip("har-validator is not installed: make test-exports")
    (tmp_path / "log.har").write_bytes(export("har"))
    script = (
        "const validate = require('har-validator');"
        "validate.har(JSON.parse(require('fs').readFileSync(process.argv[1])))"
        ".then(() => console.log('valid'), error => console.log(JSON.stringify(error.errors)))"
    )
    done = subprocess.run(
        ["node", "-e", script, str(tmp_path / "log.har")],
        cwd=INSTALLED,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == "valid\n"


def test_haralyzer_reads_the_entries(export: Export) -> None:
    haralyzer = _module("haralyzer")
    parser = haralyzer.HarParser(json.loads(export("har")))
    entries = parser.har_data["entries"]
    assert [entry["request"]["url"] for entry in entries] == ["https://api.anthropic.com/v1/messages"] * 3
    first = haralyzer.HarEntry(entries[0])
    assert (first.request.method, first.response.status, first.status) == ("POST", 200, 200)
    assert first.request.headers
    assert first.startTime.isoformat().startswith("2026-11-22T10:00:00")


def test_otlp_is_what_a_collector_takes(export: Export) -> None:
    json_format = _module("google.protobuf.json_format")
    _module("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    service = importlib.import_module("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    for line in export("otlp").splitlines():
        # OTLP's JSON has ids in hex, where protobuf's own has bytes in base64: the one difference between them.
        request = json_format.ParseDict(_with_base64_ids(json.loads(line)), service.ExportTraceServiceRequest())
        spans = request.resource_spans[0].scope_spans[0].spans
        assert [span.name.split()[0] for span in spans] == ["chat", "execute_tool", "chat", "chat"]
        assert {(len(span.trace_id), len(span.span_id)) for span in spans} == {(16, 8)}
        assert spans[1].parent_span_id == spans[0].span_id
        assert (spans[0].kind, spans[3].status.code) == (3, 2)
        values = {one.key: one.value for one in spans[0].attributes}
        assert values["gen_ai.usage.input_tokens"].int_value == 100


def test_duckdb_asks_the_parquet_file(export: Export, tmp_path: Path) -> None:
    duckdb = _module("duckdb")
    path = tmp_path / "exchanges.parquet"
    path.write_bytes(export("parquet"))
    asked = duckdb.connect().execute(
        "SELECT count(*), sum(total_tokens), sum(total_cost_usd), count(*) FILTER (WHERE NOT success),"
        " min(started_at AT TIME ZONE 'UTC')::VARCHAR FROM read_parquet(?)",
        [str(path)],
    )
    assert asked.fetchone() == (3, 230, 0.5, 1, "2026-11-22 10:00:00")


def test_duckdb_and_polars_read_the_lines_themselves(export: Export, tmp_path: Path) -> None:
    duckdb, polars = _module("duckdb"), _module("polars")
    path = tmp_path / "session.jsonl"
    path.write_bytes(export("jsonl"))
    asked = duckdb.connect().execute(
        "SELECT count(*) FROM read_json_auto(?, format = 'newline_delimited') WHERE type = 'response_recorded'",
        [str(path)],
    )
    assert asked.fetchone() == (3,)
    assert polars.read_ndjson(path, infer_schema_length=None)["type"].to_list().count("response_recorded") == 3


@pytest.mark.parametrize(
    ("provider", "target", "url"),
    [
        ("anthropic", "/v1/messages?beta=true", "https://api.anthropic.com/v1/messages?beta=true"),
        ("anthropic", "/s/nightly/v1/messages", "https://api.anthropic.com/v1/messages"),
        ("anthropic", "/messages", "https://api.anthropic.com/v1/messages"),
        ("anthropic", "/v1/models", "https://api.anthropic.com/v1/models"),
        ("openrouter", "/openrouter/v1/chat/completions", "https://openrouter.ai/api/v1/chat/completions"),
        ("ollama", "/ollama/api/chat", "http://127.0.0.1:11434/api/chat"),
        ("a-gateway", "/a-gateway/v1/x", "http://127.0.0.1:8081/a-gateway/v1/x"),
    ],
)
def test_a_har_names_the_provider_s_address(provider: str, target: str, url: str) -> None:
    (asked,) = [event for event in SessionScript().turn().events if isinstance(event, RequestRecorded)]
    headers = [("anthropic-version", "2023-06-01")] if provider == "anthropic" else []
    request = msgspec.structs.replace(asked, provider=provider, target=target, request_headers=headers)
    assert provider_url(request, DEFAULT_UPSTREAMS) == url


def _with_base64_ids(document: dict[str, Any]) -> dict[str, Any]:
    import base64

    for span in document["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        for name in ("traceId", "spanId", "parentSpanId"):
            if name in span:
                span[name] = base64.b64encode(bytes.fromhex(span[name])).decode()
    return document
