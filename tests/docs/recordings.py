"""Recordings for the snippets of the documentation: three sessions, through the pipeline and both sinks.

In: a home. Out: `<home>/sessions` with what `TRUTH` says about it. The numbers here are chosen, not computed: they are
what a snippet's answer is checked against.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import msgspec

from lunaroute.assemble.exchange import Assembled, RunEnded
from lunaroute.recorder.pipeline import Pipeline
from lunaroute.recorder.pipeline_state import PipelineSettings
from lunaroute.sinks.base import Sink
from lunaroute.sinks.jsonl import JsonlSink
from lunaroute.sinks.layout import session_files
from lunaroute.sinks.replacing import compress_file
from lunaroute.sinks.sqlite.sink import SqliteSink
from tests.exchanges import MS, START_WALL_NS, ExchangeScript
from tests.traffic import MODEL, anthropic_request, anthropic_response, anthropic_stream, both, exchange_of

_HOUR_MS = 3_600_000
OVERLOADED = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
CHAT_MODEL = "gpt-4.1"


class Truth(msgspec.Struct, frozen=True, kw_only=True):
    """What is in the recordings."""

    session_count: int = 3
    exchange_count: int = 8
    input_tokens: int = 400 + 500 + 600 + 10 + 700 + 300 + 900
    """The failed exchange reports none."""
    output_tokens: int = 12_500 + 40 + 60 + 5 + 15 + 20 + 30
    thinking_tokens: int = 12_000
    tools: dict[str, int]
    failed_tool: str = "Bash"


TRUTH = Truth(tools={"Bash": 4, "Read": 1})


def record(home: Path) -> None:
    """Three sessions: an agent with tools that ended two hours ago, a streamed one that failed once, an OpenAI chat."""
    began_ms = time.time_ns() // MS - START_WALL_NS // MS - 3 * _HOUR_MS
    items = [*_agent(began_ms), *_streamed(began_ms + 60_000), *_chat(began_ms + 120_000)]
    items.append(RunEnded(START_WALL_NS + (began_ms + 200_000) * MS))
    pipeline = Pipeline(PipelineSettings())
    events = [event for item in items for event in pipeline.feed(item)]
    assert pipeline.take_poisoned() == []
    sessions_dir = home / "sessions"
    sinks: list[Sink] = [JsonlSink(sessions_dir), SqliteSink(sessions_dir / "sessions.db", sessions_dir)]
    for sink in sinks:
        sink.open()
    for sink in sinks:
        sink.write_batch(events)
        sink.close()


def compress_most(home: Path) -> None:
    """All sessions but one: a reader finds both forms side by side."""
    paths = [path for _, path in session_files(home / "sessions")]
    for path in (paths[0], paths[-1]):
        compress_file(path)


def _agent(at_ms: int) -> list[Assembled]:
    """Thinks a lot, asks for two tools at once and for one more; one of them fails."""
    thinking: dict[str, Any] = {"output_tokens_details": {"thinking_tokens": 12_000}}
    ask = anthropic_response(
        "looking", calls=["toolu_1", "toolu_2"], input_tokens=400, output_tokens=12_500, **thinking
    )
    more = anthropic_response("again", calls=["toolu_3"], input_tokens=500, output_tokens=40, response_id="msg_2")
    read = anthropic_response(
        "now reading", calls=["toolu_4"], tool_name="Read", input_tokens=600, output_tokens=60, response_id="msg_3"
    )
    both_results = [("toolu_1", "main.py"), ("toolu_2", "No such file")]
    scripts = [
        exchange_of(1, anthropic_request("why does the login test fail?"), ask, at_ms=at_ms),
        exchange_of(2, anthropic_request("", results=both_results, errors=["toolu_2"]), more, at_ms=at_ms + 2000),
        exchange_of(3, anthropic_request("", results=[("toolu_3", "ok")]), read, at_ms=at_ms + 4000),
    ]
    return [item for script in scripts for item in both(script)]


def _streamed(at_ms: int) -> list[Assembled]:
    """Overloaded first, then answered as a stream, then a call whose result never comes."""
    request = anthropic_request("summarise the log file", stream=True)
    failed = exchange_of(4, request, OVERLOADED, at_ms=at_ms, session="run-2", status=529)
    answered = exchange_of(5, request, anthropic_stream("Two errors."), at_ms=at_ms + 1000, session="run-2")
    search = anthropic_response("searching", calls=["toolu_5"], input_tokens=700, output_tokens=15, response_id="msg_6")
    called = exchange_of(6, anthropic_request("which errors?"), search, at_ms=at_ms + 3000, session="run-2")
    return [*both(failed), *both(answered), *both(called)]


def _chat(at_ms: int) -> list[Assembled]:
    """An application's own OpenAI calls, tagged."""
    return [
        item
        for number, (input_tokens, output_tokens) in enumerate([(300, 20), (900, 30)])
        for item in both(_chat_exchange(7 + number, at_ms + 1000 * number, input_tokens, output_tokens))
    ]


def _chat_exchange(number: int, at_ms: int, input_tokens: int, output_tokens: int) -> ExchangeScript:
    request = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": "translate the release notes"}]}
    response = {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "model": CHAT_MODEL,
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Notes de version"}}
        ],
        "usage": {
            "prompt_tokens": input_tokens,
            "completion_tokens": output_tokens,
            "total_tokens": input_tokens + output_tokens,
        },
    }
    script = ExchangeScript(
        number,
        body=json.dumps(request).encode(),
        headers=[(b"User-Agent", b"OpenAI/Python 2.54.0")],
        path="/v1/chat/completions",
        provider="openai",
        opened_ms=at_ms,
        sent_ms=at_ms + 10,
        tags=["nightly"],
    )
    script.answer(200, at_ms=at_ms + 100)
    script.chunk(json.dumps(response).encode(), at_ms=at_ms + 150)
    script.close(at_ms=at_ms + 160)
    return script


__all__ = ["CHAT_MODEL", "MODEL", "TRUTH", "compress_most", "record"]
