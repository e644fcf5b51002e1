"""What is exported is what was recorded, and other programs read it."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lunaroute.errors import NoSuchSession
from lunaroute.sinks.layout import plain_path
from lunaroute.sinks.session_file import zstd
from tests.builders import SessionScript

from .conftest import EVIL, Export


def test_jsonl_is_the_file_compressed_or_not(tmp_path: Path, script: SessionScript, export: Export) -> None:
    path = plain_path(tmp_path / "sessions", script.session_id)
    text = path.read_bytes()
    assert export("jsonl") == text
    path.with_suffix(".jsonl.zst").write_bytes(zstd.compress(text))
    path.unlink()
    assert export("jsonl") == text


def test_csv_has_a_row_per_exchange(export: Export) -> None:
    rows = list(csv.DictReader(io.StringIO(export("csv").decode())))
    assert [row["total_tokens"] for row in rows] == ["107", "123", ""]
    assert [row["outcome"] for row in rows] == ["completed", "completed", "http_error"]


def test_parquet_is_typed_and_compressed(export: Export) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    file = parquet.ParquetFile(io.BytesIO(export("parquet")))
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    rows = file.read().to_pylist()
    assert [row["success"] for row in rows] == [True, True, False]
    assert rows[0]["started_at"] == datetime(2026, 11, 22, 10, tzinfo=UTC)
    assert rows[0]["total_cost_usd"] == 0.5


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        assert not any(name.startswith("on") or name in {"src", "href"} for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_html_asks_for_nothing_and_runs_nothing(export: Export) -> None:
    page = _Tags()
    page.feed(export("html").decode())
    assert not {"script", "img", "link", "iframe"} & set(page.found)
    for said in (EVIL, "=build it", "built", "make", "http_error: Overloaded", "$0.5000"):
        assert said in page.text


def test_finetuning_lines_are_the_conversation_without_failures(export: Export) -> None:
    (line,) = export("finetune").splitlines()
    messages = json.loads(line)["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "assistant"]
    assert messages[1]["tool_calls"][0]["function"] == {"name": "Bash", "arguments": '{"cmd": "make"}'}
    assert messages[2] == {"role": "tool", "tool_call_id": "c1", "content": "built"}


def test_har_has_both_sides_of_each_exchange(export: Export) -> None:
    log = json.loads(export("har"))["log"]
    assert (log["version"], len(log["entries"])) == ("1.2", 3)
    first = log["entries"][0]
    assert first["request"]["postData"]["text"] == '{"messages":[]}'
    assert (first["response"]["status"], log["entries"][2]["response"]["status"]) == (200, 529)
    assert sum(first["timings"].values()) == pytest.approx(first["time"])


def test_otlp_has_a_span_per_exchange_and_per_call(export: Export, script: SessionScript) -> None:
    (resource,) = json.loads(export("otlp"))["resourceSpans"]
    spans = resource["scopeSpans"][0]["spans"]
    assert [span["name"].split()[0] for span in spans] == ["chat", "execute_tool", "chat", "chat"]
    chat, call, *_, failed = spans
    assert call["parentSpanId"] == chat["spanId"]
    assert int(call["endTimeUnixNano"]) - int(call["startTimeUnixNano"]) == 20_000_000
    values = {one["key"]: one["value"] for one in chat["attributes"]}
    assert values["gen_ai.usage.input_tokens"] == {"intValue": "100"}
    assert values["gen_ai.usage.reasoning.output_tokens"] == {"intValue": "2"}
    assert failed["status"]["code"] == 2
    assert len({span["traceId"] for span in spans}) == 1
    assert export("otlp") == export("otlp")


def test_a_missing_file_is_named(tmp_path: Path, script: SessionScript, export: Export) -> None:
    plain_path(tmp_path / "sessions", script.session_id).unlink()
    with pytest.raises(NoSuchSession, match="is not in"):
        export("html")
