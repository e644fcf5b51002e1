"""What the corpus has, recorded.

In: the corpus, a folder. Out: a home. Every call of an agent session goes through a relay and is written down by a
recorder; single exchanges are given to the recorder's stages as they would come from the spool. A Claude Code session
of the corpus has its answers as messages; they are streamed, as its requests ask for, in pieces of the size that the
provider sends.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from tests.corpus import exchanges
from tests.corpus_scripts import response_body, script_of, wire_path
from tests.exchanges import MS, START_WALL_NS
from tests.support.replay import Replay, chunked, replay_all
from tests.support.server import serving

from lunaroute.assemble.exchange import RunEnded
from lunaroute.config import DEFAULT_UPSTREAMS
from lunaroute.demo.server import free_port
from lunaroute.recorder.pipeline import Pipeline
from lunaroute.recorder.pipeline_state import PipelineSettings
from lunaroute.sinks.jsonl import JsonlSink

_PIECE_CHARS = 12
_PATHS = {"cc": "/v1/messages", "sweagent": "/v1/chat/completions"}


def record_corpus(corpus: Path, home: Path, *, names: str = "*", calls: int | None = None) -> None:
    """Record the sessions of the corpus, one after the other, each with its calls (or the first of them) in order."""
    upstream_port = free_port()
    upstreams = dict.fromkeys(DEFAULT_UPSTREAMS, f"http://127.0.0.1:{upstream_port}")
    with serving(home, upstreams) as server:
        for path in sorted((corpus / "sessions").glob(f"{names}.jsonl.zst")):
            replays = [_replay(path.name, number, call) for number, call in enumerate(islice(_calls(path), calls))]
            asyncio.run(replay_all(server.port, upstream_port, replays, connections=1))


def record_exchanges(home: Path) -> None:
    """Record the single exchanges of the corpus, in their order; most are sessions by themselves."""
    pipeline, sink = Pipeline(PipelineSettings()), JsonlSink(home / "sessions")
    sink.open()
    count = 0
    for number, exchange in enumerate(exchanges()):
        script = script_of(number, exchange)
        sink.write_batch([*pipeline.feed(script.received), *pipeline.feed(script.ended)])
        count += 1
    sink.write_batch(pipeline.feed(RunEnded(START_WALL_NS + count * 1000 * MS)))
    sink.close()


def _calls(path: Path) -> Iterator[dict[str, Any]]:
    text = subprocess.run(["zstd", "-dc", "--long=27", path], capture_output=True, check=True).stdout
    return (json.loads(line) for line in text.splitlines())


def _replay(name: str, number: int, call: dict[str, Any]) -> Replay:
    if "request" in call:
        path, body, answer = _PATHS[name.partition("-")[0]], _compact(call["request"]), _answer(call)
    else:
        raw = call.get("request_body_raw")
        path, body, answer = (
            wire_path(call),
            raw.encode() if raw else _compact(call["request_body"]),
            response_body(call),
        )
    is_stream = answer.startswith((b"event:", b"data:"))
    tag = re.sub(r"[^a-z0-9-]", "-", name.partition(".")[0].lower())
    request = [f"POST /s/{tag}{path}?replay={number} HTTP/1.1", "Content-Type: application/json"]
    if name.startswith("cc-"):
        request += ["User-Agent: claude-cli/2.1.37 (external, cli)", f"X-Claude-Code-Session-Id: {tag}"]
    kind, framing = (
        ("text/event-stream", "Transfer-Encoding: chunked")
        if is_stream
        else ("application/json", f"Content-Length: {len(answer)}")
    )
    return Replay(
        request_head=_head([*request, f"Content-Length: {len(body)}"]),
        request_body=body,
        response=_head(["HTTP/1.1 200 OK", f"Content-Type: {kind}", framing])
        + (chunked(answer, (613, 4099, 64)) if is_stream else answer),
        pieces=8 if is_stream else 1,
    )


def _answer(call: dict[str, Any]) -> bytes:
    message = call["response"]
    if message.get("type") == "message":
        return b"".join(_events(message))
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return _compact({"object": "chat.completion", "model": call["request"]["model"], "choices": [choice]})


def _events(message: dict[str, Any]) -> Iterator[bytes]:
    yield _event("message_start", message=message | {"content": [], "stop_reason": None})
    for index, block in enumerate(message["content"]):
        kind, field = {
            "text": ("text_delta", "text"),
            "thinking": ("thinking_delta", "thinking"),
            "tool_use": ("input_json_delta", "partial_json"),
        }.get(block["type"], ("", ""))
        text = _compact(block["input"]).decode() if block["type"] == "tool_use" else block.get(field, "")
        empty = {"input": {}} if block["type"] == "tool_use" else ({field: ""} if field else {})
        yield _event("content_block_start", index=index, content_block=block | empty)
        for at in range(0, len(text) if kind else 0, _PIECE_CHARS):
            yield _event("content_block_delta", index=index, delta={"type": kind, field: text[at : at + _PIECE_CHARS]})
        yield _event("content_block_stop", index=index)
    ending = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield _event("message_delta", delta=ending, usage={"output_tokens": message["usage"]["output_tokens"]})
    yield _event("message_stop")


def _event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: ".encode() + _compact({"type": kind, **fields}) + b"\n\n"


def _compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _head(lines: list[str]) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
