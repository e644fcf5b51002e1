"""Every recorded exchange of the corpus, of all wire formats, gives the numbers that were derived independently.

How the truth is read, what may differ and why is written down in `tests/truth.py`. Nothing there or here knows an
exchange.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import msgspec
import pytest

from lunaroute.dialects import detect_format, read_response_body
from lunaroute.dialects.facts import ResponseFacts
from lunaroute.events.types import ResponseRecorded
from lunaroute.recorder.pipeline import Pipeline
from lunaroute.recorder.pipeline_state import PipelineSettings
from tests.corpus import exchange_ids, exchanges, expected
from tests.corpus_scripts import content_type, response_body, script_of, wire_path
from tests.truth import EXCEPTIONS, UNSTATED, differences, exception_for, made_up

STATED_SHARE = 0.995
"""Of exchanges that say what the truth says in every field that is not `null`, those of calls and blocks too."""
STRICT_SHARE = 0.993
"""The same where a call of which the truth states nothing counts as one that is missing."""
STREAMED = ("anthropic", "openai-chat", "openai-responses", "gemini", "openai-completions-legacy", "ollama")


def read_exchange(exchange: dict[str, Any], chunk_bytes: int = 777) -> ResponseFacts:
    """The facts of a recorded response, its body arriving in pieces at made-up times."""
    body = response_body(exchange)
    chunks = [(start * 1000, body[start : start + chunk_bytes]) for start in range(0, len(body), chunk_bytes)]
    wire_format = detect_format(exchange["method"], wire_path(exchange))
    return read_response_body(wire_format, chunks, content_type(exchange), exchange["status"] or 200)


def test_every_exchange_is_recorded_with_the_independently_derived_facts() -> None:
    pipeline = Pipeline(PipelineSettings())
    faults: dict[str, list[str]] = {}
    invented: dict[str, list[str]] = {}
    excepted: dict[str, set[str]] = defaultdict(set)
    count = 0
    for number, exchange in enumerate(exchanges()):
        script = script_of(number, exchange)
        events = [*pipeline.feed(script.received), *pipeline.feed(script.ended)]
        [event] = [one for one in events if isinstance(one, ResponseRecorded)]
        truth = expected()[exchange["id"]]
        count += 1
        for difference in differences(exchange, truth, event, response_body(exchange)):
            cause = exception_for(difference)
            if cause is None:
                faults.setdefault(exchange["id"], []).append(difference)
            else:
                excepted[cause].add(exchange["id"])
        if wrong := list(made_up(exchange, truth, event)):
            invented[exchange["id"]] = wrong

    assert count == len(exchange_ids())
    assert [poison.reason for poison in pipeline.take_poisoned()] == []
    assert invented == {}, json.dumps(invented, indent=1)
    assert faults == {}, json.dumps(faults, indent=1)
    _tell(count, excepted)
    assert excepted.keys() <= EXCEPTIONS.keys()
    stated = set().union(*(ids for cause, ids in excepted.items() if cause != UNSTATED))
    assert len(stated) <= (1 - STATED_SHARE) * count, excepted
    assert len(stated | excepted[UNSTATED]) <= (1 - STRICT_SHARE) * count, excepted


def _tell(count: int, excepted: dict[str, set[str]]) -> None:
    """The table that `pytest -s` shows."""
    strict = count - len(set().union(*excepted.values()))
    stated = strict + len(excepted[UNSTATED])
    print(
        f"\n{count} exchanges; {stated} say what the truth states ({stated / count:.2%}), {strict} of them have as many"
    )
    print(f"calls as it has ({strict / count:.2%}); the others do not because:")
    for cause, ids in sorted(excepted.items()):
        print(f"  {len(ids):3} {cause}: {EXCEPTIONS[cause]}")


@pytest.mark.parametrize("provider", STREAMED)
def test_every_message_rebuilt_from_a_stream_reads_like_the_stream(provider: str) -> None:
    for exchange in exchanges(provider):
        facts = read_exchange(exchange)
        if not exchange["is_sse"] or facts.message is None:
            continue
        body = bytes(facts.message) if isinstance(facts.message, msgspec.Raw) else msgspec.json.encode(facts.message)
        wire_format = detect_format("POST", wire_path(exchange))

        plain = read_response_body(wire_format, [(0, body)], "application/json", 200)

        assert msgspec.json.decode(body) is not None
        assert (plain.text, plain.thinking_text) == (facts.text, facts.thinking_text), exchange["id"]
        assert (plain.usage, plain.billing) == (facts.usage, facts.billing), exchange["id"]
        calls = [(call.tool_call_id, call.tool_name, call.arguments) for call in plain.tool_calls]
        assert calls == [(call.tool_call_id, call.tool_name, call.arguments) for call in facts.tool_calls]


@pytest.mark.parametrize("provider", STREAMED)
def test_every_whole_stream_is_finished_and_has_a_first_token(provider: str) -> None:
    streams, unfinished = 0, []
    for exchange in exchanges(provider):
        facts = read_exchange(exchange)
        if b"\n" not in response_body(exchange).strip() or facts.error is not None or not facts.milestones:
            continue
        streams += 1
        kinds = [milestone.event_type for milestone in facts.milestones]
        has_output = bool(facts.text or facts.thinking_text)
        if not facts.is_finished or (has_output and "first_token" not in kinds) or "completion" not in kinds:
            unfinished.append(exchange["id"])

    assert streams > 0
    assert unfinished == []
