"""What the rules of `tests/truth.py` forgive, counted: where a recording and the corpus's truth say different things
although the comparison lets it pass. Each cause is a decision to keep what we record, and why.

Not counted is what the truth does not derive (the corpus's README): blocks of formats that name none, calls in binary
bodies and Cohere's, provider-side calls but Anthropic's and those of Responses. Nor what CONTRACT §3 demands: cache
inside the input, reasoning inside the output.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from lunaroute.events.types import ResponseRecorded
from tests.truth import NAMES_SERVER_CALLS, Exchange, Truth, is_unread

Cause = Literal[
    "count_tokens is no use",
    "empty call",
    "empty id",
    "who executes it",
    "named by the tool",
    "the id that the output names",
    "total beyond its parts",
    "error without a word",
]

WHY: dict[Cause, str] = {
    "count_tokens is no use": "Anthropic bills nothing for counting; as input it would count twice in a session.",
    "empty call": "Snowflake sends a call without name and id beside each answer, Gemini the arguments of one call in "
    "several parts, all but the first without a name: the model asked for none of these.",
    "empty id": "An id that is the empty string joins no result to its call; it is recorded as not stated.",
    "who executes it": "A local shell or patch call is the client's to execute, Bedrock's `server_tool_use` is not; "
    "the truth goes by the kind of item alone.",
    "named by the tool": "An MCP call has its tool's name. Its kind, the truth's name for it, is in content_blocks.",
    "the id that the output names": "A shell call in a container has an id of its own and a call_id, which its output "
    "names.",
    "total beyond its parts": "Google's OpenAI-compatible endpoint has thoughts in its total and nowhere else. "
    "CONTRACT §3: total = input + output; usage_raw keeps what was said.",
    "error without a word": "The provider gives no type (a bare `detail`, or null beside a code and a number), the "
    "truth puts one in.",
}

Calls = list[tuple[str | None, str | None]]


def forgiven(exchange: Exchange, truth: Truth, event: ResponseRecorded) -> Iterator[tuple[Cause, str]]:
    """Each difference that a rule lets pass, as (cause, what differs)."""
    tokens = event.stats.tokens
    if truth["input_tokens"] is not None and exchange["provider"] == "anthropic-count-tokens":
        yield "count_tokens is no use", f"input_tokens is {tokens.input_tokens}, not {truth['input_tokens']}"
    elif truth["total_tokens"] not in (None, tokens.total_tokens):
        yield "total beyond its parts", f"total_tokens is {tokens.total_tokens}, not {truth['total_tokens']}"
    names = () if event.error is None else (event.error.type, event.error.message)
    if truth["error"] is not None and truth["error"] not in names:
        yield "error without a word", f"error is {names}, not {truth['error']!r}"
    if truth["tool_calls"] is None or is_unread(exchange):
        return
    client: Calls = [(call.tool_name, call.tool_call_id) for call in event.stats.tool_calls]
    true_client: Calls = [(call["name"], call["id"]) for call in truth["tool_calls"]]
    server: Calls = [(call.tool_name, call.tool_call_id) for call in event.stats.server_tool_calls]
    true_server: Calls = [(call["name"], call["id"]) for call in truth["server_tool_calls"] or []]
    if client != true_client:
        yield _client_cause(true_client), f"tool calls are {client}, not {true_client}"
    if exchange["provider"] in NAMES_SERVER_CALLS and server != true_server:
        yield _server_cause(server, true_server), f"server calls are {server}, not {true_server}"


def _client_cause(true: Calls) -> Cause:
    if any(not name and not call_id for name, call_id in true):
        return "empty call"
    return "empty id" if any(call_id == "" for _, call_id in true) else "who executes it"


def _server_cause(found: Calls, true: Calls) -> Cause:
    if len(found) != len(true):
        return "who executes it"
    has_same_ids = [call_id for _, call_id in found] == [call_id for _, call_id in true]
    return "named by the tool" if has_same_ids else "the id that the output names"
