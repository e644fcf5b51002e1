"""Every recorded exchange of the corpus, of all wire formats, gives the numbers that were derived independently.

What may differ, and by which rule, is written down in `tests/truth.py`; how often one is needed, and why we keep what
we record, in `tests/strict_truth.py`. Nothing there or here knows an exchange.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection
from typing import Any

import msgspec
import pytest

from lunaroute.dialects import detect_format, read_response_body
from lunaroute.dialects.facts import ResponseFacts
from lunaroute.events.types import ResponseRecorded
from lunaroute.recorder.pipeline import Pipeline, PipelineSettings
from tests.corpus import exchange_ids, exchanges, expected
from tests.corpus_scripts import content_type, response_body, script_of, wire_path
from tests.strict_truth import WHY, Cause, forgiven
from tests.truth import differences, made_up

REQUIRED_SHARE = 0.995
"""Of exchanges, by the rules: now all."""
STRICT_SHARE = 0.97
"""Of exchanges, where no rule but CONTRACT §3 lets a difference pass."""
STREAMED = ("anthropic", "openai-chat", "openai-responses", "gemini", "openai-completions-legacy", "ollama")


def read_exchange(exchange: dict[str, Any], chunk_bytes: int = 777) -> ResponseFacts:
    """The facts of a recorded response, its body arriving in pieces at made-up times."""
    body = response_body(exchange)
    chunks = [(start * 1000, body[start : start + chunk_bytes]) for start in range(0, len(body), chunk_bytes)]
    wire_format = detect_format(exchange["method"], wire_path(exchange))
    return read_response_body(wire_format, chunks, content_type(exchange), exchange["status"] or 200)


def test_every_exchange_is_recorded_with_the_independently_derived_facts() -> None:
    pipeline = Pipeline(PipelineSettings())
    different: dict[str, list[str]] = {}
    invented: dict[str, list[str]] = {}
    excused: dict[Cause, list[str]] = defaultdict(list)
    count = 0
    for number, exchange in enumerate(exchanges()):
        script = script_of(number, exchange)
        events = [*pipeline.feed(script.received), *pipeline.feed(script.ended)]
        [event] = [one for one in events if isinstance(one, ResponseRecorded)]
        truth = expected()[exchange["id"]]
        count += 1
        if wrong := list(differences(exchange, truth, event, response_body(exchange))):
            different[exchange["id"]] = wrong
        if wrong := list(made_up(exchange, truth, event)):
            invented[exchange["id"]] = wrong
        for cause, what in forgiven(exchange, truth, event):
            excused[cause].append(f"{exchange['id']}: {what}")

    assert count == len(exchange_ids())
    assert [poison.reason for poison in pipeline.take_poisoned()] == []
    assert invented == {}, json.dumps(invented, indent=1)
    assert len(different) <= (1 - REQUIRED_SHARE) * count, json.dumps(different, indent=1)
    _tell(count, different.keys(), excused)
    not_the_same = different.keys() | {one.partition(": ")[0] for each in excused.values() for one in each}
    assert len(not_the_same) <= (1 - STRICT_SHARE) * count, json.dumps(excused, indent=1)


def _tell(count: int, different: Collection[str], excused: dict[Cause, list[str]]) -> None:
    """The table that `pytest -s` shows."""
    exchanges_excused = {one.partition(": ")[0] for each in excused.values() for one in each}
    strict = count - len(exchanges_excused | set(different))
    print(
        f"\n{count} exchanges; by the rules {count - len(different)} match, strictly {strict} ({strict / count:.2%}):"
    )
    for cause, each in sorted(excused.items()):
        print(f"  {len(each):3} {cause}: {WHY[cause]}")


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
