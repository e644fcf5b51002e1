"""What the corpus's truth (`expected.json`) says about an exchange, brought to the rules of CONTRACT §3, and what of
a recording it is compared with.

The truth is as the provider reported it and was derived without any of our code; so are the rules here, each written
once:

1. Anthropic and Bedrock count the cache beside the input, Gemini thoughts and tool prompts beside what they belong to;
   reasoning or audio that only the provider's own total accounts for is part of the output or input.
2. A token count that was asked for (`count_tokens`) is no use of tokens.
3. Embeddings that state only a total used it as input.
4. A call without name and id is none: a re-serialised placeholder, or the next piece of a call that is streamed.
5. Whose call it is depends on who executes it, not on the item's name: `server_tool_use` is Bedrock's, a shell or
   patch call without a container the client's. The truth splits calls by the kind of item alone, so these are compared
   together.
6. Server calls are named by the tool; the truth names them by the kind of item, and only for Anthropic and Responses.
7. Blocks are compared where the format has them; those of a chat completion are runs of one kind, in our own words.
8. Numbers that stand for words are texts. An error is named by the provider's type, or by its words.

How many exchanges need rules 2 and 4 to 6, and by which decision, is counted by `tests/strict_truth.py`.

`null` in the truth means "not stated or ambiguous" and is not compared, but for counts: what nobody states must not
appear in a recording (`made_up`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from lunaroute.assemble.sse import SseParser
from lunaroute.events.types import ResponseRecorded

Truth = dict[str, Any]
Exchange = dict[str, Any]

_SAME = {
    "model": "model_used",
    "response_id": "response_id",
}
_COUNTS = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "total_tokens": "total_tokens",
    "reasoning_tokens": "thinking_tokens",
    "cache_read_tokens": "cache_read_tokens",
    "cache_creation_tokens": "cache_creation_tokens",
    "cache_creation_5m": "cache_creation_5m_tokens",
    "cache_creation_1h": "cache_creation_1h_tokens",
    "audio_input_tokens": "audio_input_tokens",
    "audio_output_tokens": "audio_output_tokens",
}
_BESIDE_THE_INPUT = ("anthropic", "anthropic-vertex", "bedrock-invoke-anthropic", "bedrock-converse")
_NAMES_BLOCKS = (*_BESIDE_THE_INPUT, "openai-responses")
NAMES_SERVER_CALLS = ("anthropic", "anthropic-vertex", "openai-responses")
_SPLIT_OTHERWISE = ("shell_call", "local_shell_call", "apply_patch_call", "nova_code_interpreter")
_NOT_READ = ("cohere", "bedrock-converse-stream", "bedrock-invoke-other", "openai-media")
"""Where the truth holds no counts although the bodies do, as in all binary ones."""
_FILTERS = (
    "content_filter",
    "guardrail_intervened",
    "SAFETY",
    "PROHIBITED_CONTENT",
    "BLOCKLIST",
    "SPII",
    "MODEL_ARMOR",
)


def differences(exchange: Exchange, truth: Truth, event: ResponseRecorded, body: bytes) -> Iterator[str]:
    """Every field of the truth that is stated and that the recording says otherwise. `body` is without its coding."""
    tokens = event.stats.tokens
    for name, count in counts(exchange, truth).items():
        if count is not None and getattr(tokens, name) != count:
            yield f"{name} is {getattr(tokens, name)}, not {count}"
    for name, field in _SAME.items():
        if truth[name] is not None and getattr(event, field) != truth[name]:
            yield f"{field} is {getattr(event, field)!r}, not {truth[name]!r}"
    if truth["stop_reason"] is not None and event.finish_reason != str(truth["stop_reason"]):
        yield f"finish_reason is {event.finish_reason!r}, not {truth['stop_reason']!r}"
    if truth["raw_usage"] is not None and event.stats.usage_raw != truth["raw_usage"]:
        yield f"usage_raw is {event.stats.usage_raw}, not {truth['raw_usage']}"
    if truth["refusal"] is not None and event.stats.has_refusal != truth["refusal"]:
        yield f"has_refusal is {event.stats.has_refusal}"
    yield from _error(truth, event)
    yield from _calls(exchange, truth, event)
    yield from _shape(exchange, truth, event, body)


def made_up(exchange: Exchange, truth: Truth, event: ResponseRecorded) -> Iterator[str]:
    """Counts of the recording that the truth does not have and the provider's own usage object does not hold."""
    if is_unread(exchange):
        return
    stated = _numbers_in(truth["raw_usage"]) | {truth["total_tokens"], truth["input_tokens"], truth["output_tokens"]}
    for name, count in counts(exchange, truth).items():
        seen = getattr(event.stats.tokens, name)
        is_estimate = name == "thinking_tokens" and event.stats.tokens.thinking_is_estimated
        is_total = name == "total_tokens" and seen == _total(event)
        if count is None and seen is not None and not (is_estimate or is_total or seen in stated or seen == 0):
            yield f"{name} is {seen}, and nobody said so"


def counts(exchange: Exchange, truth: Truth) -> dict[str, int | None]:
    """The truth's token counts, inclusive (rules 1 to 3)."""
    found = {field: truth[name] for name, field in _COUNTS.items()}
    if exchange["provider"] == "anthropic-count-tokens":
        return dict.fromkeys(found)
    inputs, outputs, total = truth["input_tokens"], truth["output_tokens"], truth["total_tokens"]
    raw = truth["raw_usage"] or {}
    if inputs is not None and exchange["provider"] in _BESIDE_THE_INPUT:
        inputs += (truth["cache_read_tokens"] or 0) + (truth["cache_creation_tokens"] or 0)
    elif exchange["provider"] == "gemini":
        inputs = None if inputs is None else inputs + raw.get("toolUsePromptTokenCount", 0)
        outputs = None if total is None else total - inputs
    elif None not in (inputs, outputs, total):
        beside = total - inputs - outputs
        outputs += beside if beside > 0 and beside == truth["reasoning_tokens"] else 0
        inputs += beside if beside > 0 and beside == truth["audio_input_tokens"] else 0
    elif exchange["provider"] == "openai-embeddings":
        inputs = total
    has_total = inputs is not None or outputs is not None
    found |= {"input_tokens": inputs, "output_tokens": outputs}
    return found | {"total_tokens": (inputs or 0) + (outputs or 0) if has_total else None}


def is_unread(exchange: Exchange) -> bool:
    """Whether the truth holds no counts and no calls although the body may."""
    return exchange["provider"] in _NOT_READ or exchange.get("response_body_raw") is None


def _total(event: ResponseRecorded) -> int:
    return (event.stats.tokens.input_tokens or 0) + (event.stats.tokens.output_tokens or 0)


def _numbers_in(value: Any) -> set[Any]:
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return set().union(*(_numbers_in(one) for one in inner))
    return {value} if isinstance(value, int) else set()


def _error(truth: Truth, event: ResponseRecorded) -> Iterator[str]:
    if truth["error"] is None:
        return
    names = () if event.error is None else (event.error.type, event.error.message)
    # One body says no more than what went wrong, in a field of its own; Azure's code is a number beside the word.
    is_named = truth["error"] in names or truth["error"] in ("error", "400")
    if not names or not is_named:
        yield f"error is {names}, not {truth['error']!r}"


def _calls(exchange: Exchange, truth: Truth, event: ResponseRecorded) -> Iterator[str]:
    if truth["tool_calls"] is None or is_unread(exchange):  # several choices, each with its own
        return
    client = [(call.tool_name, call.tool_call_id) for call in event.stats.tool_calls]
    server = [(call.tool_name, call.tool_call_id) for call in event.stats.server_tool_calls]
    true_client = [(call["name"], call["id"] or None) for call in truth["tool_calls"] if call["name"] or call["id"]]
    true_server = [(call["name"], call["id"] or None) for call in truth["server_tool_calls"] or []]
    if _certain(client) != _certain(true_client):
        yield f"tool calls are {client}, not {true_client}"
    together = Counter(map(_identity, client + server)) == Counter(map(_identity, true_client + true_server))
    if exchange["provider"] in NAMES_SERVER_CALLS and not together:
        yield f"calls are {client + server}, not {true_client + true_server}"


def _certain(calls: list[tuple[str, str | None]]) -> list[tuple[str, str | None]]:
    return [call for call in calls if call[0] not in _SPLIT_OTHERWISE]


def _identity(call: tuple[str, str | None]) -> str | None:
    """The id; the truth names a shell or patch item by its own id and not by the call's."""
    return call[0] if call[0] in _SPLIT_OTHERWISE else call[1]


def _shape(exchange: Exchange, truth: Truth, event: ResponseRecorded, body: bytes) -> Iterator[str]:
    provider = exchange["provider"]
    blocks = truth["content_block_types"]
    if provider in _NAMES_BLOCKS and not is_unread(exchange) and event.stats.content_blocks != (blocks or []):
        yield f"content_blocks are {event.stats.content_blocks}, not {blocks}"
    if truth["blocked"] and event.finish_reason not in _FILTERS:
        yield f"blocked, but the finish_reason is {event.finish_reason!r}"
    if truth["n_choices"] is not None:
        whole = msgspec.json.decode(event.response_json)
        choices = whole.get("choices" if "choices" in whole else "candidates")
        if len(choices) != truth["n_choices"]:
            yield f"{len(choices)} choices, not {truth['n_choices']}"
    if truth["stream_events"] is not None:
        parser = SseParser()
        seen = len(parser.feed(body, 0) + parser.finish())
        if seen != truth["stream_events"]:
            yield f"{seen} events, not {truth['stream_events']}"
