"""Text that JSON can say and UTF-8 cannot (halves of surrogate pairs), and its like, anywhere in bodies and headers:
recorded like any other, its bytes exact."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from lunaroute.events import Event, decode_event, encode_event
from lunaroute.events.bodies import request_bytes, response_bytes
from lunaroute.events.types import RequestRecorded, ResponseRecorded
from lunaroute.recorder.pipeline import Pipeline
from lunaroute.recorder.pipeline_state import PipelineSettings
from lunaroute.sinks.sqlite.scratch import open_scratch
from lunaroute.sinks.sqlite.store import write_events
from tests.exchanges import EVENT_STREAM, ExchangeScript

_PIECES = [
    b"plain",
    b"\\ud800",
    b"\\udfff",
    b"\\udc00\\ud800",
    b"\\ud83d\\ude00",
    b"\\ud83d",
    b"\\u0000",
    b"\\u2028",
    b"\\uffff",
    b'\\"',
    b"\\n",
    "é😀".encode(),
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\xf0\x9f",
]
STRINGS = st.lists(st.sampled_from(_PIECES), min_size=1, max_size=3).map(b"".join)
"""The inside of a JSON string, as bytes."""

REQUESTS = {
    "/v1/messages": b'{"model":"$","stream":true,"system":[{"type":"text","text":"$"}],"metadata":{"user_id":"$"},'
    b'"tools":[{"name":"$","input_schema":{"$":"$"}}],"messages":[{"role":"assistant","content":[{"type":"tool_use",'
    b'"id":"$","name":"$","input":{"$":"$"}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"$",'
    b'"content":[{"type":"text","text":"$"}]},{"type":"text","text":"$"}]}]}',
    "/v1/chat/completions": b'{"model":"$","user":"$","messages":[{"role":"tool","tool_call_id":"$","content":"$"},'
    b'{"role":"user","content":"$"}],"metadata":{"session_id":"$"},"prompt_cache_key":"$"}',
    "/v1/responses": b'{"model":"$","previous_response_id":"$","prompt_cache_key":"$","conversation":"$","input":['
    b'{"type":"function_call_output","call_id":"$","output":"$"},{"role":"user","content":[{"type":"input_text",'
    b'"text":"$"}]}],"instructions":"$"}',
    "/anything/else": b'{"$":"$"}',
}
ANSWERS = {
    "/v1/messages": b'{"id":"$","type":"message","model":"$","content":[{"type":"thinking","thinking":"$"},'
    b'{"type":"text","text":"$"},{"type":"tool_use","id":"$","name":"$","input":{"$":"$"}}],"stop_reason":"$",'
    b'"usage":{"input_tokens":3,"output_tokens":4,"service_tier":"$","$":"$"}}',
    "/v1/chat/completions": b'{"id":"$","model":"$","choices":[{"finish_reason":"$","message":{"content":"$",'
    b'"refusal":"$","reasoning_content":"$","tool_calls":[{"id":"$","function":{"name":"$","arguments":"$"}}]}}],'
    b'"usage":{"prompt_tokens":1,"completion_tokens":2,"$":"$"},"service_tier":"$"}',
    "/v1/responses": b'{"id":"$","status":"$","model":"$","output":[{"type":"message","content":[{"type":"output_text",'
    b'"text":"$"}]},{"type":"function_call","call_id":"$","name":"$","arguments":"$"},{"type":"$"}],'
    b'"usage":{"input_tokens":1,"output_tokens":1,"$":"$"},"service_tier":"$"}',
    "/anything/else": b'{"error":{"type":"$","message":"$"}}',
}
STREAMS = {
    "/v1/messages": [
        b'{"type":"message_start","message":{"id":"$","model":"$","usage":{"input_tokens":1,"$":"$"}}}',
        b'{"type":"content_block_start","index":0,"content_block":{"type":"$"}}',
        b'{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"$","name":"$"}}',
        b'{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"$"}}',
        b'{"type":"content_block_start","index":2,"content_block":{"type":"text","text":"$"}}',
        b'{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"$"}}',
        b'{"type":"content_block_start","index":3,"content_block":{"type":"thinking","thinking":"$"}}',
        b'{"type":"content_block_delta","index":3,"delta":{"type":"signature_delta","signature":"$"}}',
        b'{"type":"message_delta","delta":{"stop_reason":"$"},"usage":{"output_tokens":1}}',
        b'{"type":"$"}',
        b'{"type":"error","error":{"type":"$","message":"$"}}',
    ],
    "/v1/chat/completions": [
        b'{"id":"$","model":"$","service_tier":"$","choices":[{"index":0,"delta":{"content":"$","reasoning":"$"}}]}',
        b'{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"$","function":{"name":"$","arguments":"$"}}]}}]}',
        b'{"choices":[{"index":0,"delta":{"refusal":"$","$":"$"},"finish_reason":"$"}],"usage":{"prompt_tokens":1,"$":"$"}}',
        b'{"error":{"type":"$","message":"$","code":"$"}}',
    ],
    "/v1/responses": [
        b'{"type":"response.created","response":{"id":"$","model":"$"}}',
        b'{"type":"response.output_item.added","output_index":0,"item":{"type":"message","id":"$"}}',
        b'{"type":"response.output_text.delta","output_index":0,"content_index":0,"item_id":"$","delta":"$"}',
        b'{"type":"response.output_item.added","output_index":1,"item":{"type":"function_call","call_id":"$","name":"$"}}',
        b'{"type":"response.function_call_arguments.delta","output_index":1,"delta":"$"}',
        b'{"type":"$"}',
        b'{"type":"response.failed","response":{"id":"$","status":"$","error":{"code":"$","message":"$"},'
        b'"usage":{"input_tokens":1,"$":"$"}}}',
    ],
    "/anything/else": [b'{"$":"$"}'],
}


def _filled(template: bytes, strings: Iterator[bytes]) -> bytes:
    first, *rest = template.split(b'"$"')
    return first + b"".join(b'"' + next(strings) + b'"' + part for part in rest)


def _endless(strings: list[bytes]) -> Iterator[bytes]:
    while True:
        yield from strings


def _exchange(path: str, strings: Iterator[bytes], header: bytes, *, is_stream: bool, status: int) -> ExchangeScript:
    headers = [(b"X-Claude-Code-Session-Id", header), (b"User-Agent", header)] if header else []
    script = ExchangeScript(1, body=_filled(REQUESTS[path], strings), path=path, headers=headers)
    script.answer(status, at_ms=100, headers=EVENT_STREAM if is_stream else None)
    if is_stream:
        for event in STREAMS[path]:
            script.chunk(b"event: $\ndata: " + _filled(event, strings) + b"\n\n", at_ms=110)
    else:
        script.chunk(_filled(ANSWERS[path], strings), at_ms=110)
    script.close(at_ms=200)
    return script


@settings(max_examples=150, deadline=None)
@given(
    path=st.sampled_from(list(REQUESTS)),
    strings=st.lists(STRINGS, min_size=1, max_size=7),
    header=st.sampled_from([b"", b"plain", b"\xed\xa0\x80", b"\xff", "é".encode()]),
    is_stream=st.booleans(),
    status=st.sampled_from([200, 200, 400, 529]),
)
def test_hostile_text_is_recorded_like_any_other(
    path: str, strings: list[bytes], header: bytes, is_stream: bool, status: int
) -> None:
    script = _exchange(path, _endless(strings), header, is_stream=is_stream, status=status)
    pipeline = Pipeline(PipelineSettings())
    events = [event for item in (script.received, script.ended) for event in pipeline.feed(item)]
    changes = pipeline.take_changes()
    again = Pipeline.restore(PipelineSettings(), changes.put)
    events += again.advance(1 << 62)
    assert [poisoned.reason for poisoned in pipeline.take_poisoned()] == []
    _check(events, script)
    assert _rejected(events) == []


def _rejected(events: list[Event]) -> list[str]:
    """What the index does not take of them."""
    reasons: list[str] = []
    with TemporaryDirectory() as folder, closing(open_scratch(Path(folder) / "sessions.db")) as connection:
        write_events(connection, events, lambda event, reason: reasons.append(reason))
    return reasons


def _check(events: list[Event], script: ExchangeScript) -> None:
    assert [event.seq for event in events] == list(range(len(events)))
    for event in events:
        line = encode_event(event)
        json.loads(line.decode())
        assert b"\n" not in line
        assert encode_event(decode_event(line)) == line
    reread = [decode_event(encode_event(event)) for event in events]
    (request,) = [event for event in reread if isinstance(event, RequestRecorded)]
    (response,) = [event for event in reread if isinstance(event, ResponseRecorded)]
    assert request_bytes(request) == script.exchange.request_body
    assert response_bytes(response) == script.exchange.response_body
