"""Recorded Claude Code sessions played through a whole server: the requests with the headers of a captured client, one
after the other on a connection of the session's own; the answers as the provider streams them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path

from lunaroute.demo.server import free_port
from tests.anthropic_events import anthropic_events
from tests.corpus import corpus_dir
from tests.recorded_sessions import Call
from tests.support.replay import Replay, chunked, replay_runs
from tests.support.server import serving

_SESSION_HEADER = "x-claude-code-session-id"
_FRAMING = ("host", "content-length")
_CHUNK_BYTES = (64, 1500, 7, 16_384)
_ANSWER_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nrequest-id: req_recorded\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


def play_sessions(home: Path, calls: Mapping[str, Sequence[Call]]) -> dict[str, list[Replay]]:
    """All sessions at once; back when everything is recorded and the server has ended."""
    headers = _client_headers()
    numbers = count()
    runs = {name: [_replay(next(numbers), call, headers) for call in session] for name, session in calls.items()}
    upstream_port = free_port()
    with serving(home, {"anthropic": f"http://127.0.0.1:{upstream_port}"}) as server:
        asyncio.run(replay_runs(server.port, upstream_port, list(runs.values())))
    return runs


def streamed(call: Call) -> bytes:
    """The body of the answer."""
    return b"".join(anthropic_events(call.response))


def _replay(number: int, call: Call, headers: list[tuple[str, str]]) -> Replay:
    lines = [f"POST /v1/messages?beta=true&replay={number} HTTP/1.1"]
    for name, value in [*headers, ("Content-Length", str(len(call.body)))]:
        lines.append(f"{name}: {call.session_id if name.lower() == _SESSION_HEADER else value}")
    return Replay(
        request_head="\r\n".join([*lines, "", ""]).encode(),
        request_body=call.body,
        response=_ANSWER_HEAD + chunked(streamed(call), _CHUNK_BYTES),
        pieces=5,
    )


def _client_headers() -> list[tuple[str, str]]:
    """Of the first captured request of Claude Code that names its session so."""
    for path in sorted((corpus_dir() / "clients" / "claude").glob("*/*.json")):
        headers = [(name, value) for name, value in json.loads(path.read_bytes())["headers"]]
        if _SESSION_HEADER in {name.lower() for name, _ in headers}:
            return [(name, value) for name, value in headers if name.lower() not in _FRAMING]
    raise AssertionError("no captured client names its session in a header")
