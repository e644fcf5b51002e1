"""The Gemini dialect: its streams amount to its bodies, in both framings; the rules that only this API has."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lunaroute.simulator import gemini
from lunaroute.simulator.dialect import Conversations
from lunaroute.simulator.ids import IdMint
from lunaroute.simulator.turn import Reply, RequestRefusedError, Tokens, ToolCall, Turn

PRO = "/v1beta/models/gemini-2.5-pro"
CALLS = tuple(ToolCall(id=f"abc{n}", name="grep", arguments='{"pattern":"totäl"}') for n in (1, 2))
LONG = "Hello, wörld — 你好!\n  indented, and long enough for more than one chunk of the stream\n"
TURNS = [
    Turn(thinking="", text=LONG, calls=()),
    Turn(thinking="Let me think.", text="I'll look.", calls=CALLS),
    Turn(thinking="", text="", calls=CALLS[:1]),
    Turn(thinking="cut", text="", calls=(), is_cut_short=True),
]
ASKED: dict[str, Any] = {
    "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
    "generationConfig": {"thinkingConfig": {"includeThoughts": True}},
}


def make_reply(target: str, turn: Turn, body: dict[str, Any] = ASKED, cache_read_tokens: int = 0) -> Reply:
    body = gemini.asked(target, body)
    thinking_tokens = 9 if turn.thinking else 0
    tokens = Tokens(
        input_tokens=100,
        cache_read_tokens=cache_read_tokens,
        cache_write_tokens=0,
        is_one_hour=False,
        output_tokens=20 + thinking_tokens,
        thinking_tokens=thinking_tokens,
    )
    prompt = gemini.read_prompt(body, Conversations())
    return Reply(body=body, prompt=prompt, turn=turn, tokens=tokens, id="r1", created_s=0)


def stream(reply: Reply) -> bytes:
    return b"".join(step.data for step in gemini.stream(reply, IdMint("a"), Conversations()))


def events(data: bytes) -> list[Any]:
    assert data.endswith(b"\r\n\r\n")
    return [json.loads(event.removeprefix(b"data: ")) for event in data[:-4].split(b"\r\n\r\n")]


@pytest.mark.parametrize("turn", TURNS)
def test_a_stream_amounts_to_the_body_in_both_framings(turn: Turn) -> None:
    sse, array = (make_reply(f"{PRO}:streamGenerateContent{query}", turn) for query in ("?alt=sse", ""))
    chunks = events(stream(sse))
    assert json.loads(stream(array)) == chunks
    assert (gemini.stream_type(sse.body), gemini.stream_type(array.body)[:16]) == (
        "text/event-stream",
        "application/json",
    )
    whole = gemini.whole(sse, IdMint("a"), Conversations())
    parts = [part for chunk in chunks for part in chunk["candidates"][0]["content"]["parts"]]
    for is_thought in (False, True):
        said = [
            "".join(part.get("text", "") for part in some if part.get("thought", False) is is_thought)
            for some in (parts, whole["candidates"][0]["content"]["parts"])
        ]
        assert said[0] == said[1] == (turn.thinking if is_thought else turn.text)
    assert [part for part in parts if "functionCall" in part] == [
        part for part in whole["candidates"][0]["content"]["parts"] if "functionCall" in part
    ]
    last = chunks[-1]
    assert last["candidates"][0]["finishReason"] == whole["candidates"][0]["finishReason"]
    assert last["usageMetadata"] == whole["usageMetadata"]
    assert not any("finishReason" in chunk["candidates"][0] for chunk in chunks[:-1])


def test_usage_grows_and_thoughts_are_counted_apart() -> None:
    chunks = events(stream(make_reply(f"{PRO}:streamGenerateContent?alt=sse", TURNS[0])))
    counts = [chunk["usageMetadata"].get("candidatesTokenCount", 0) for chunk in chunks]
    assert counts == sorted(counts)
    assert len(set(counts)) > 1
    usage = gemini.usage(make_reply(f"{PRO}:generateContent", TURNS[1], cache_read_tokens=64))
    assert usage["candidatesTokenCount"] + usage["thoughtsTokenCount"] + 100 == usage["totalTokenCount"]
    assert usage["cachedContentTokenCount"] == 64


def test_thoughts_are_shown_where_asked_for_and_counted_anyway() -> None:
    body = {"contents": ASKED["contents"]}
    reply = make_reply(f"{PRO}:streamGenerateContent?alt=sse", TURNS[1], body)
    assert b'"thought":true' not in stream(reply)
    assert events(stream(reply))[-1]["usageMetadata"]["thoughtsTokenCount"] == 9


@pytest.mark.parametrize(("model", "has_id"), [("gemini-2.5-pro", False), ("gemini-3.5-flash", True)])
def test_calls_have_ids_from_gemini_3_on(model: str, has_id: bool) -> None:
    assert bool(gemini.mint_call_id(IdMint("a"), model)) is has_id


def test_the_prompt_is_read_with_its_rounds_tools_and_forced_tool() -> None:
    call, result = (
        {"functionCall": {"name": "grep", "args": {}}},
        {"functionResponse": {"name": "grep", "response": {"output": "x"}}},
    )
    body = {
        "contents": [
            {"role": "user", "parts": [{"text": "old"}]},
            {"role": "model", "parts": [{"text": "yes"}]},
            {"role": "user", "parts": [{"text": "new"}, {"text": "er"}]},
            {"role": "model", "parts": [{"text": "look"}, call, call]},
            {"role": "user", "parts": [result, result]},
        ],
        "tools": [
            {
                "functionDeclarations": [
                    {"name": "grep", "parameters": {"type": "OBJECT", "properties": {"n": {"type": "INTEGER"}}}}
                ]
            },
            {"functionDeclarations": [{"name": "read", "parametersJsonSchema": {"type": "object"}}]},
            {"googleSearch": {}},
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["read"]}},
    }
    prompt = gemini.read_prompt(gemini.asked(f"{PRO}:generateContent", body), Conversations())
    assert (prompt.model, prompt.is_stream, prompt.user_text) == ("gemini-2.5-pro", False, "new\ner")
    assert (prompt.round_count, prompt.last_result.count("x"), prompt.forced_tool) == (1, 2, "read")
    assert [tool.name for tool in prompt.tools] == ["grep", "read"]
    assert prompt.tools[0].schema == {"type": "object", "properties": {"n": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("path", "method"),
    [
        (f"{PRO}:generateContent", "generateContent"),
        ("/v1/projects/p/locations/l/publishers/google/models/m:streamGenerateContent", "streamGenerateContent"),
        ("/v1beta/models", None),
        (PRO, None),
        ("/v1/messages", None),
    ],
)
def test_the_method_is_in_the_path(path: str, method: str | None) -> None:
    assert gemini.method_of(path) == method


@pytest.mark.parametrize("status", [400, 429, 503, 418])
def test_errors_have_a_status_of_their_own(status: int) -> None:
    error = gemini.error(status, None, None, "")["error"]
    assert (error["code"], bool(error["message"])) == (status, True)
    assert error["status"].isupper()


def test_a_request_without_contents_is_refused() -> None:
    with pytest.raises(RequestRefusedError, match="contents"):
        gemini.read_prompt(gemini.asked(f"{PRO}:generateContent", {}), Conversations())
