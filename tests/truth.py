"""What the corpus's truth (`expected.json`) says about an exchange, brought to the rules of CONTRACT §3, and what of
a recording it is compared with.

The truth is as the provider reported it and was derived without any of our code; so are the rules here, each written
once:

1. Anthropic and Bedrock count the cache beside the input, Gemini thoughts and tool prompts beside what they belong to;
   reasoning or audio that only the provider's own total accounts for is part of the output or input.
2. A token count that was asked for (`count_tokens`) is no use of tokens: the count is compared with the recorded
   answer. A total is also right as the provider's own, in `usage_raw` (Google's OpenAI-compatible endpoint has thoughts
   in its total and nowhere else, CONTRACT §3 has total = input + output).
3. Embeddings that state only a total used it as input.
4. The truth splits calls by the kind of item, we by who executes them: a local shell or patch call is the client's,
   Bedrock's `server_tool_use` is not. The kind is recorded with each call (`call_type`), so by it they are split here.
   The truth has the kind for the name of a server's item, and the item's own id (`item_id`) for its id.
5. Blocks are compared where the format has them; those of a chat completion are runs of one kind, in our own words.
6. Numbers that stand for words are texts. An error is named by the provider's type, by its words or by the status that
   it names.

What then still differs has its causes in `EXCEPTIONS`; nothing there knows an exchange.

`null` in the truth means "not stated or ambiguous" and is not compared, but for counts: what nobody states must not
appear in a recording (`made_up`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
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
_NAMES_SERVER_CALLS = ("anthropic", "anthropic-vertex", "openai-responses")
"""Of other formats the truth derives no calls that the provider executed."""
_CLIENTS_ITEMS = ("function_call", "custom_tool_call")
"""What the truth takes for the client's, of the items of Responses."""
_NOT_READ = ("cohere", "bedrock-converse-stream", "bedrock-invoke-other", "openai-media")
"""Where the truth holds no counts although the bodies do, as in all binary ones."""
EXCEPTIONS = {
    "empty call": "Snowflake fills in what is not there: a legacy `function_call` with an empty name stands beside "
    "each answer, and the model asked for none.",
    "pieces of one call": "Gemini streams the arguments of one call in several parts, all but the first without a "
    "name; the truth counts each part.",
    "error without a word": "A body that is one `detail` names no type of error; the truth puts the word `error` in.",
}
"""Why a recording may differ from the truth."""
UNSTATED = "pieces of one call"
"""The one of them that is about nothing which the truth states: all that it says of such a part is `null`."""
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
    yield from _counts(exchange, truth, event)
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


def exception_for(difference: str) -> str | None:
    """The cause in EXCEPTIONS by which a difference is one; None = it is a fault."""
    if difference.startswith("error is (None, ") and difference.endswith("not 'error'"):
        return "error without a word"
    if difference == "tool calls lack [('', None)]":
        return "empty call"
    if re.fullmatch(r"tool calls lack \[\(None, None\)(, \(None, None\))*\]", difference):
        return "pieces of one call"
    return None


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


def _counts(exchange: Exchange, truth: Truth, event: ResponseRecorded) -> Iterator[str]:
    tokens = event.stats.tokens
    for name, count in counts(exchange, truth).items():
        if count is not None and getattr(tokens, name) != count:
            yield f"{name} is {getattr(tokens, name)}, not {count}"
    reported = event.stats.usage_raw or {}
    if exchange["provider"] == "anthropic-count-tokens":
        reported = msgspec.json.decode(event.response_json)
        if truth["input_tokens"] is not None and reported["input_tokens"] != truth["input_tokens"]:
            yield f"counted are {reported}, not {truth['input_tokens']}"
    stated = truth["total_tokens"]
    if stated not in (None, tokens.total_tokens, reported.get("total_tokens"), reported.get("totalTokenCount")):
        yield f"total_tokens is {tokens.total_tokens}, not {stated}"


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
    error = event.error
    names = () if error is None else (error.type, error.message, str(error.status_code))
    if truth["error"] not in names:
        yield f"error is {names}, not {truth['error']!r}"


def _calls(exchange: Exchange, truth: Truth, event: ResponseRecorded) -> Iterator[str]:
    if truth["tool_calls"] is None or is_unread(exchange):  # several choices, each with its own
        return
    is_responses = exchange["provider"] == "openai-responses"
    found = event.stats.tool_calls + event.stats.server_tool_calls
    if is_responses:
        client = [call for call in found if call.call_type in _CLIENTS_ITEMS]
        server = [(call.call_type, call.item_id or call.tool_call_id) for call in found if call not in client]
    elif exchange["provider"] == "bedrock-converse":
        client, server = found, []
    else:
        client = event.stats.tool_calls
        server = [(call.tool_name, call.tool_call_id) for call in event.stats.server_tool_calls]
    named = [(call.tool_name, call.tool_call_id) for call in client]
    is_in_order = client is not found
    yield from _same_calls("tool", named, truth["tool_calls"], is_in_order=is_in_order)
    if exchange["provider"] in _NAMES_SERVER_CALLS:
        yield from _same_calls("server", server, truth["server_tool_calls"] or [], is_in_order=True)


def _same_calls(
    whose: str, found: Sequence[tuple[str | None, str | None]], true: list[Truth], *, is_in_order: bool
) -> Iterator[str]:
    stated = [(call["name"], call["id"] or None) for call in true]
    missing, extra = Counter(stated) - Counter(found), Counter(found) - Counter(stated)
    if missing:
        yield f"{whose} calls lack {list(missing.elements())}"
    if extra:
        yield f"{whose} calls have {list(extra.elements())} beside {stated}"
    if is_in_order and not missing and not extra and list(found) != stated:
        yield f"{whose} calls are {list(found)}, not {stated}"


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
