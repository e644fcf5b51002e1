from __future__ import annotations

import json
from typing import Any

from lunaroute.dialects import read_response_body, reader_for
from tests.unit.dialects.streams import message_of, read_stream, times

USAGE = {"prompt_tokens": 2, "completion_tokens": 5, "total_tokens": 7}


def piece(text: str, index: int = 0, finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"text": text, "index": index, "logprobs": None, "finish_reason": finish}
    return {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m-1", "choices": [choice], **more}


def test_prompts_are_what_the_user_said() -> None:
    read = reader_for("openai_completions").read_request
    facts = read(json.dumps({"model": "m", "prompt": "Once", "stream": True}).encode())
    assert (facts.model, facts.request_text, facts.is_streaming, facts.message_count) == ("m", "Once", True, 1)
    assert read(b'{"prompt":["a","b"]}').request_text == "a\nb"
    assert read(b'{"prompt":[1,2,3]}').request_text == ""
    assert not read(b"[]").is_valid


def test_a_completion_with_two_choices() -> None:
    body = piece("one", finish="length", usage=USAGE)
    body["choices"].append({"text": "two", "index": 1, "finish_reason": "stop"})
    facts = read_response_body("openai_completions", [(1, json.dumps(body).encode())], "application/json", 200)

    assert (facts.text, facts.finish_reason, facts.model) == ("one\ntwo", "length", "m-1")
    assert facts.content_blocks == ["text", "text"]
    assert facts.usage is not None
    assert (facts.usage.input_tokens, facts.usage.output_tokens) == (2, 5)


def test_a_stream_is_folded_into_the_completion() -> None:
    facts = read_stream(
        "openai_completions",
        piece("On"),
        piece("ce "),
        piece("twice", index=1),
        piece("upon"),
        piece("", finish="stop"),
        piece("", index=1, finish="length"),
        {"id": "cmpl-1", "model": "m-1", "choices": [], "usage": USAGE},
        "[DONE]",
    )
    assert facts.text == "Once upon\ntwice"
    assert facts.is_finished
    assert facts.finish_reason == "stop"
    assert facts.usage is not None
    assert facts.usage.raw == USAGE
    message = message_of(facts)
    assert [(choice["text"], choice["finish_reason"]) for choice in message["choices"]] == [
        ("Once upon", "stop"),
        ("twice", "length"),
    ]
    assert (message["object"], message["id"]) == ("text_completion", "cmpl-1")
    assert times(facts)[:2] == [("block_start", 10, "text"), ("first_token", 10, None)]
    assert times(facts)[-1] == ("completion", 80, "stop")


def test_a_stream_that_is_cut_is_not_finished_and_an_error_in_it_is_kept() -> None:
    facts = read_stream("openai_completions", piece("a"), {"error": {"message": "no", "type": "server_error"}})
    assert (facts.text, facts.is_finished) == ("a", False)
    assert facts.error is not None
    assert facts.error.type == "server_error"
