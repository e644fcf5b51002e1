"""Secrets of sixty kinds and more, planted wherever a head or a body can carry them, and the disk searched for them."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from lunaroute.config import DEFAULT_UPSTREAMS
from lunaroute.demo.server import free_port
from lunaroute.events.bodies import request_bytes, response_bytes
from tests.aws_frames import aws_frame
from tests.secrets import EVERYTHING, OWN_PATTERN, SECRETS, leaked, pieces, sse
from tests.support.replay import Replay, chunked, replay_all
from tests.support.server import RecordedExchange, exchanges, recorded, serving, wait_until

Answer = tuple[str, bytes]
"""Content type and body."""
JSON, EVENTS, FRAMES = "application/json", "text/event-stream", "application/vnd.amazon.eventstream"
ARGUMENTS = json.dumps({"file": "x", "content": EVERYTHING})
CREDENTIALS = {
    "Authorization": "Bearer credential-in-authorization",
    "X-Api-Key": "credential-in-x-api-key",
    "X-Goog-Api-Key": "credential-in-goog",
    "Cookie": "session=credential-in-cookie",
    "Proxy-Authorization": "Basic credential-in-proxy",
    "X-Amz-Security-Token": "credential-in-amz",
    "X-Forwarded-As": "Bearer credential-by-its-value",
    "Referer": "https://h/x?access_token=credential-in-referer",
}
QUERY = "key=credential-in-query&api%5Fkey=credential-in-encoded-name&x=1"


def _anthropic() -> tuple[str, dict[str, Any], list[Answer]]:
    request = {
        "model": "claude-sonnet-4-5",
        "max_tokens": 10,
        "system": [{"type": "text", "text": EVERYTHING}],
        "tools": [{"name": "write", "description": EVERYTHING, "input_schema": {"type": "object"}}],
        "messages": [
            {"role": "user", "content": EVERYTHING},
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "t1", "name": "write", "input": {"a": EVERYTHING}}],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": EVERYTHING}]},
                    {
                        "type": "document",
                        "source": {
                            "type": "base64",
                            "media_type": "text/plain",
                            "data": base64.b64encode(EVERYTHING.encode()).decode(),
                        },
                    },
                ],
            },
        ],
    }
    usage = {"input_tokens": 5, "output_tokens": 5}
    content = [
        {"type": "thinking", "thinking": EVERYTHING, "signature": "c2ln"},
        {"type": "text", "text": EVERYTHING},
        {"type": "tool_use", "id": "t2", "name": "write", "input": json.loads(ARGUMENTS)},
    ]
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "usage": usage}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": message | {"content": []}}]
    for index, (kind, field, text) in enumerate(
        [("thinking", "thinking", EVERYTHING), ("text", "text", EVERYTHING), ("input_json", "partial_json", ARGUMENTS)]
    ):
        block = {"type": kind, field: ""} if index < 2 else {"type": "tool_use", "id": "t3", "name": "w", "input": {}}
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events += (
            {"type": "content_block_delta", "index": index, "delta": {"type": f"{kind}_delta", field: piece}}
            for piece in pieces(text)
        )
        events.append({"type": "content_block_stop", "index": index})
    events.append({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}})
    events.append({"type": "message_stop"})
    whole = json.dumps(message | {"content": content, "stop_reason": "end_turn"}).encode()
    frames = b"".join(
        aws_frame("chunk", {"bytes": base64.b64encode(json.dumps(event).encode()).decode()}) for event in events
    )
    error = json.dumps({"type": "error", "error": {"type": "invalid_request_error", "message": EVERYTHING}}).encode()
    answers = [(JSON, whole), (EVENTS, sse(events, named=True)), (FRAMES, frames), (JSON, error)]
    return "/v1/messages", request, answers


def _chat() -> tuple[str, dict[str, Any], list[Answer]]:
    call = {"id": "c1", "type": "function", "function": {"name": "write", "arguments": ARGUMENTS}}
    request = {
        "model": "gpt-5",
        "messages": [
            {"role": "system", "content": EVERYTHING},
            {"role": "user", "content": [{"type": "text", "text": EVERYTHING}]},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": EVERYTHING},
        ],
    }
    message = {"role": "assistant", "content": EVERYTHING, "tool_calls": [call | {"id": "c2"}]}
    whole = {"id": "x", "model": "gpt-5", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    deltas = [{"content": piece} for piece in pieces(EVERYTHING)]
    deltas += ({"reasoning_content": piece} for piece in pieces(EVERYTHING, 5))
    deltas.append(
        {"tool_calls": [{"index": 0, "id": "c2", "type": "function", "function": {"name": "write", "arguments": ""}}]}
    )
    deltas += ({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in pieces(ARGUMENTS, 9))
    events = [{"id": "x", "model": "gpt-5", "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    return (
        "/v1/chat/completions",
        request,
        [(JSON, json.dumps(whole).encode()), (EVENTS, sse(events) + b"data: [DONE]\n\n")],
    )


def _responses() -> tuple[str, dict[str, Any], list[Answer]]:
    request = {
        "model": "gpt-5",
        "instructions": EVERYTHING,
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": EVERYTHING}]},
            {"type": "function_call", "call_id": "c1", "name": "write", "arguments": ARGUMENTS},
            {"type": "function_call_output", "call_id": "c1", "output": EVERYTHING},
        ],
    }
    output = [
        {"type": "message", "id": "m1", "role": "assistant", "content": [{"type": "output_text", "text": EVERYTHING}]},
        {"type": "function_call", "id": "f1", "call_id": "c2", "name": "write", "arguments": ARGUMENTS},
    ]
    whole = {"id": "resp_1", "object": "response", "status": "completed", "model": "gpt-5", "output": output}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": whole | {"output": [], "status": "in_progress"}}
    ]
    for index, (kind, item, text) in enumerate(
        [("output_text", "m1", EVERYTHING), ("function_call_arguments", "f1", ARGUMENTS)]
    ):
        base = {"output_index": index, "item_id": item, "content_index": 0}
        events += (base | {"type": f"response.{kind}.delta", "delta": piece} for piece in pieces(text, 6))
        done = {"text": text} if index == 0 else {"arguments": text}
        events.append(base | {"type": f"response.{kind}.done"} | done)
        events.append({"type": "response.output_item.done", "output_index": index, "item": output[index]})
    events.append({"type": "response.completed", "response": whole})
    return "/v1/responses", request, [(JSON, json.dumps(whole).encode()), (EVENTS, sse(events, named=True))]


def _gemini() -> tuple[str, dict[str, Any], list[Answer]]:
    call = {"functionCall": {"name": "write", "args": json.loads(ARGUMENTS)}}
    request = {
        "systemInstruction": {"parts": [{"text": EVERYTHING}]},
        "contents": [
            {"role": "user", "parts": [{"text": EVERYTHING}]},
            {"role": "model", "parts": [call]},
            {"role": "user", "parts": [{"functionResponse": {"name": "write", "response": {"output": EVERYTHING}}}]},
        ],
    }
    whole = {"candidates": [{"content": {"role": "model", "parts": [{"text": EVERYTHING}, call]}, "index": 0}]}
    rows = [
        {"candidates": [{"content": {"role": "model", "parts": [{"text": piece}]}, "index": 0}]}
        for piece in pieces(EVERYTHING, 8)
    ]
    array = json.dumps(rows, indent=1).encode()
    return (
        "/v1beta/models/gemini-2.5-pro:streamGenerateContent",
        request,
        [
            (JSON, json.dumps(whole).encode()),
            (EVENTS, sse(rows)),
            (JSON, array),
        ],
    )


def _ollama() -> tuple[str, dict[str, Any], list[Answer]]:
    request = {"model": "llama3", "messages": [{"role": "user", "content": EVERYTHING}]}
    rows = [{"model": "llama3", "message": {"role": "assistant", "content": piece}} for piece in pieces(EVERYTHING)]
    lines = "".join(json.dumps(row) + "\n" for row in rows).encode()
    return "/ollama/api/chat", request, [("application/x-ndjson", lines)]


def _converse() -> tuple[str, dict[str, Any], list[Answer]]:
    request = {"messages": [{"role": "user", "content": [{"text": EVERYTHING}]}], "system": [{"text": EVERYTHING}]}
    frames = [aws_frame("messageStart", {"role": "assistant"})]
    frames += (
        aws_frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": piece}})
        for piece in pieces(EVERYTHING)
    )
    frames.append(aws_frame("throttlingException", {"message": EVERYTHING}, "exception"))
    return "/bedrock/model/anthropic.claude/converse-stream", request, [(FRAMES, b"".join(frames))]


def _unknown() -> tuple[str, dict[str, Any], list[Answer]]:
    return (
        "/v1/other",
        {"x": EVERYTHING},
        [("text/plain", EVERYTHING.encode()), (JSON, json.dumps([EVERYTHING]).encode())],
    )


DIALECTS = (_anthropic, _chat, _responses, _gemini, _ollama, _converse, _unknown)
FORMS = {
    "plain": lambda body: body,
    "slashes escaped": lambda body: body.replace(b"/", b"\\/"),
    "signs escaped": lambda body: body.replace(b"@", b"\\u0040").replace(b"+", b"\\u002b"),
}


def _cases() -> list[Replay]:
    replays: list[Replay] = []
    for dialect in DIALECTS:
        path, request, answers = dialect()
        for content_type, answer in answers:
            for form, change in FORMS.items():
                is_changeable = content_type in (JSON, EVENTS)
                body = change(json.dumps(request).encode())
                replays.append(
                    _replay(len(replays), path, body, content_type, change(answer) if is_changeable else answer)
                )
                if form == "plain":
                    zipped = gzip.compress(answer)
                    replays.append(_replay(len(replays), path, gzip.compress(body), content_type, zipped, "gzip"))
    return replays


def _replay(number: int, path: str, body: bytes, content_type: str, answer: bytes, coding: str = "") -> Replay:
    kept = EVERYTHING.replace("\n", " ")
    more = f"Content-Encoding: {coding}\r\n" if coding else ""
    credentials = "".join(f"{name}: {value}\r\n" for name, value in CREDENTIALS.items())
    head = (
        f"POST {path}?replay={number}&{QUERY} HTTP/1.1\r\nContent-Type: application/json\r\n{more}{credentials}"
        f"X-Session-Tag: {kept[:900]}\r\nX-Title: {kept[900:2000]}\r\nX-Note: {kept}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    status = "400 Bad Request" if b'"error"' in answer[:40] else "200 OK"
    answered = (
        f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n{more}Set-Cookie: sid=credential-in-set-cookie\r\n"
        f"OpenAI-Note: {kept[:1500]}\r\nX-Request-Id: r{number}\r\nLocation: https://h/?sig=credential-in-location\r\n"
        "Transfer-Encoding: chunked\r\n\r\n"
    )
    return Replay(
        request_head=head.encode(),
        request_body=body,
        response=answered.encode() + chunked(answer, (777, 64, 3000)),
        pieces=5,
    )


def _played(home: Path, settings: str) -> tuple[list[Replay], bytes]:
    """What was sent, and every byte that is on disk while the server still runs, and after."""
    home.mkdir(mode=0o700)
    (home / "config.toml").write_text(settings)
    replays = _cases()
    port = free_port()
    upstreams = dict.fromkeys([*DEFAULT_UPSTREAMS, "bedrock"], f"http://127.0.0.1:{port}")
    with serving(home, upstreams) as server:
        asyncio.run(replay_all(server.port, port, replays))
        recorded(home, len(replays))
        if settings:  # the spool's turn comes with the next checkpoint, about a second later
            wait_until(lambda: leaked(_disk(home)) == {})
    for replay in replays:
        assert replay.seen_body == replay.request_body, "the relay changes nothing"
        assert replay.received == replay.response
    return replays, _disk(home)


def _disk(home: Path) -> bytes:
    found = [path.read_bytes().strip(b"\0") for path in sorted(home.rglob("*")) if path.is_file()]
    return b"\n".join(found)


@pytest.fixture(scope="module")
def unredacted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    home = tmp_path_factory.mktemp("leaks") / "home"
    return home, _played(home, "")[1]


def test_nothing_planted_is_on_disk_with_redaction_on(tmp_path: Path) -> None:
    own = "'" + OWN_PATTERN + "'"
    replays, disk = _played(tmp_path / "home", f"[redaction]\nmode = 'tokenize'\n[redaction.patterns]\nbadge = {own}\n")
    assert leaked(disk) == {}
    assert b"credential-" not in disk
    found = exchanges(tmp_path / "home")
    assert len(found) == len(replays)
    for one in found:
        _check_readable(one)


def _check_readable(one: RecordedExchange) -> None:
    assert one.request.redaction is not None
    assert one.response.redaction is not None
    assert one.request.redaction.withheld is None
    assert one.response.redaction.withheld is None
    assert sum(one.request.redaction.counts.values()) >= len(SECRETS)
    body = request_bytes(one.request)
    assert json.loads(body), "JSON stays JSON"
    assert one.request.stats.request_size_bytes == len(body)
    assert response_bytes(one.response)
    if one.request.dialect != "unknown" and one.response.success:
        assert "[redacted:" in one.response.response_text


def test_credentials_of_heads_are_never_on_disk(unredacted: tuple[Path, bytes]) -> None:
    _, disk = unredacted
    assert b"credential-" not in disk
    assert len(leaked(disk)) > 60, "the search finds what is there"


def test_files_and_folders_are_for_their_owner_only(unredacted: tuple[Path, bytes]) -> None:
    home, _ = unredacted
    modes = {path.relative_to(home).as_posix(): stat.S_IMODE(path.stat().st_mode) for path in home.rglob("*")}
    files = {name: mode for name, mode in modes.items() if (home / name).is_file() and name != "config.toml"}
    assert {name: oct(mode) for name, mode in files.items() if mode != 0o600} == {}
    assert {name: oct(mode) for name, mode in modes.items() if (home / name).is_dir() and mode != 0o700} == {}
    assert len(files) > 5
