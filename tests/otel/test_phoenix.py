"""A real receiver has every exchange once, with the numbers that were recorded, though the shipper was killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lunaroute.simulator import start_simulator
from tests.integration.test_reprice_live import MODEL
from tests.support.server import exchanges, recorded, serving, wait_until

from .phoenix import INSTALLED, Phoenix, running_phoenix

pytestmark = pytest.mark.otel

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture(scope="module")
def phoenix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Phoenix]:
    if not (INSTALLED / "phoenix").is_dir():
        pytest.skip("Phoenix is not installed: make test-otel")
    with running_phoenix(tmp_path_factory.mktemp("phoenix")) as running:
        yield running


def _ask(base_url: str, messages: list[dict[str, Any]], session: str, **headers: str) -> dict[str, Any]:
    tools = [{"name": "get_weather", "description": "weather", "input_schema": {"type": "object"}}]
    body = {"model": MODEL, "max_tokens": 50, "messages": messages, "tools": tools}
    given = {"content-type": "application/json", "anthropic-version": "2023-06-01", "x-api-key": "k"}
    given |= {"x-claude-code-session-id": session, **headers}
    request = urllib.request.Request(f"{base_url}/v1/messages", json.dumps(body).encode(), given)
    with urllib.request.urlopen(request, timeout=30) as answer:
        said: dict[str, Any] = json.load(answer)
    return said


def _shipper_pid(server_pid: int) -> int | None:
    command = ["ps", "-o", "pid=,args=", "--ppid", str(server_pid)]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    found = [int(line.split()[0]) for line in listed.stdout.splitlines() if "lunaroute.shipping" in line]
    return found[0] if found else None


def test_every_exchange_is_there_once_with_its_numbers(phoenix: Phoenix, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    options = f'endpoint = "{phoenix.endpoint}"\ncontent = true\nmetrics = false\n'
    (home / "config.toml").write_text(f"[sinks.otlp]\n{options}")
    with start_simulator(seed="otel") as provider, serving(home, {"anthropic": provider.base_url}) as server:
        for number in range(6):
            _ask(server.base_url, [{"role": "user", "content": f"question {number}"}], f"s{number % 2}")
        recorded(home, 6)
        wait_until(lambda: len(phoenix.spans()) >= 3)
        pid = _shipper_pid(server.process.pid)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        traced = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
        for number in range(6, 12):
            _ask(server.base_url, [{"role": "user", "content": f"question {number}"}], "traced", **traced)
        recorded(home, 12)
        wait_until(lambda: len(phoenix.spans()) >= 12)
    found = exchanges(home)
    spans = phoenix.spans()
    assert Counter(span["attributes"]["lunaroute.request.id"] for span in spans) == Counter(
        one.request.request_id for one in found
    )
    by_request = {span["attributes"]["lunaroute.request.id"]: span for span in spans}
    for one in found:
        span, tokens = by_request[one.request.request_id], one.response.stats.tokens
        attributes = span["attributes"]
        assert span["name"] == f"chat {MODEL}"
        assert attributes["gen_ai.usage.input_tokens"] == tokens.input_tokens
        assert attributes["gen_ai.usage.output_tokens"] == tokens.output_tokens
        assert one.request.request_text in attributes["gen_ai.input.messages"]
    traced_spans = [span for span in spans if span["context"]["trace_id"] == TRACE]
    assert len(traced_spans) == 6
    assert {span["parent_id"] for span in traced_spans} == {PARENT}
    conversations = {span["attributes"]["gen_ai.conversation.id"] for span in spans}
    assert conversations == {"s0", "s1", "traced"}
