"""The six event types of a session file (CONTRACT §2), and everything nested in them.

Field names are the contract: they are what users' queries name. `None` (null) means that the provider did not
say, `0` means zero. Every `*_ms` is a float >= 0 taken from a monotonic clock; every `timestamp` is RFC 3339 UTC
with microseconds and `Z`. Token counts follow the inclusive rule: cache counts are subsets of `input_tokens`,
thinking is a subset of `output_tokens`, `total_tokens = input_tokens + output_tokens`.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from lunaroute.capture.records import Outcome
from lunaroute.dialects.facts import Billing
from lunaroute.redact.report import Redaction
from lunaroute.sessions.clues import ThreadKind
from lunaroute.sessions.verdict import Confidence

from .figures import Context, Cost, FinalStats, SnapshotStats, StreamEvent, StreamingStats, Tokens, Value

SCHEMA_VERSION = 1

Source = Literal["wire", "transcript"]

CompletionReason = Literal["idle", "ended", "shutdown", "recovered"]


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """What every line carries."""

    session_id: str
    request_id: str
    """Of the exchange the event is about; for `completed` and `stats_snapshot`, the session's latest."""
    timestamp: str
    seq: int
    """0, 1, 2 … within the file, without gaps."""
    schema: int = SCHEMA_VERSION
    prev: str | None = None
    """The line before, by its link: the SHA-256 of its bytes without the newline, and without those of `request_json`
    or `response_json` where `body_sha256` is the hash of just these (`request_body`, `response_body` null). Null on
    the first line, and until the event is written."""


NO_JSON = msgspec.Raw(b"null")
"""What a `*_json` field holds when there is no JSON to show. (`Raw | None` would not do: msgspec reads such a union
as "null only". A body that is itself the text `null` is always kept as a BodyCopy, so nothing is ambiguous.)"""


# ---- bodies ---------------------------------------------------------------------------------------------------


class BodyCopy(Value, frozen=True):
    """Exact bytes of a body that cannot stand in the line as JSON (`*_json` then is rebuilt, or null)."""

    encoding: Literal["utf-8", "base64"]
    data: str
    content_encoding: str | None = None
    """Content coding still on the bytes: `gzip`, `br`, `zstd`; None = none."""
    chunks: list[tuple[float, int]] | None = None
    """For streams: [ms since the request was sent, bytes] of each read, in order; the bytes add up to the body. Over a
    WebSocket, of each message, its line feed counted."""


class Error(Value, frozen=True):
    type: str | None
    message: str | None
    status_code: int | None = None
    """The HTTP status that the error itself names, as one inside a 200 does."""


# ---- started --------------------------------------------------------------------------------------------------


class ClientInfo(Value, frozen=True):
    name: str | None
    version: str | None


class Metadata(Value, frozen=True):
    client_ip: str | None
    user_agent: str | None
    client: ClientInfo
    api_version: str | None
    """`anthropic-version`, `openai-version` … header."""
    request_headers: list[tuple[str, str]]
    """Allow-listed request headers, order and case as sent; never a credential."""
    session_tags: list[str]
    credential: str | None = None
    """Salted fingerprint of the credential."""


class Identity(Value, frozen=True):
    """Why these exchanges are one session."""

    rule: str
    """`session_tag`, `client_header`, `body_field`, `response_id`, `tool_call_id`, `prefix`, `repetition`,
    `tool_argument` or `new`: what told of the session's first exchange whose it is; `transcript`: the client's own
    transcript."""
    evidence: str | None
    """The header or field that decided, as `name=value`."""


class Started(_Event, frozen=True, tag="started"):
    conversation_id: str | None
    continues: str | None
    """The `session_id` of the same conversation's previous, completed session."""
    model_requested: str | None
    provider: str
    listener: str
    dialect: str
    is_streaming: bool
    metadata: Metadata
    identity: Identity
    forked_from: str | None = None
    """The `session_id` whose history this conversation, a new one by its own id, began with."""
    tenant: str | None = None
    """Whose session it is, by the rules of `[tenants]`; one session is of one tenant."""
    node: str | None = None
    """The machine or pod that recorded it (`server.node`)."""
    source: Source = "wire"
    """`transcript`: imported from what the client wrote down itself. Then `request_json` holds the new messages alone
    and `response_json` what the client kept; there are no bytes, hashes, headers, sizes, status or latencies, and
    `output_tokens` only where it is more than the placeholder of an answer's beginning."""


# ---- request_recorded -----------------------------------------------------------------------------------------


class RequestStats(Value, frozen=True):
    pre_processing_ms: float
    """Our own time on the way to the provider up to the moment the request's end was written to the spool;
    `response_recorded` has the full figure, that last write included."""
    request_size_bytes: int
    message_count: int | None
    has_system_prompt: bool
    has_tools: bool
    tool_count: int
    new_bytes: int | None = None
    """Of the body without its content coding: what the thread's request before did not have at the same place. Null
    where the body has no messages that are read."""
    resent_bytes: int | None = None
    """The rest: tools, system prompt and messages that stand unchanged at the beginning."""
    new_message_count: int | None = None
    """Messages among them."""


class WebSocketPart(Value, frozen=True):
    """What an exchange is of the WebSocket it was part of."""

    connection_id: str
    """The same for all exchanges of one socket: the id of its handshake."""
    index: int
    """0, 1, 2 … of the exchanges on this socket."""
    is_turn: bool
    """One `response.create` and its answer. False: messages that belong to no turn (all of them, where the socket
    speaks another protocol), each followed by a line feed."""
    stream_id: str | None
    """The lane of a turn, where the client named one."""
    message_count: int
    """Messages of the client in this exchange."""


class RequestRecorded(_Event, frozen=True, tag="request_recorded"):
    dialect: str
    provider: str
    listener: str
    method: str
    target: str
    """Path and query as the client sent them; credentials replaced."""
    model_requested: str | None
    is_streaming: bool
    request_text: str
    request_json: msgspec.Raw
    """The whole body, byte for byte as sent, where it is JSON that fits a line; else re-encoded, or null (NO_JSON)."""
    request_body: BodyCopy | None
    """The exact bytes, only where `request_json` is not exactly them."""
    body_sha256: str
    is_body_complete: bool
    estimated_tokens: int | None
    """Rough size of the request in tokens (bytes / 4), before the provider says."""
    request_headers: list[tuple[str, str]]
    stats: RequestStats
    thread_id: str | None = None
    """One linear history inside the conversation: its main thread, a sub-agent's, or a call on the side."""
    parent_thread_id: str | None = None
    thread_kind: ThreadKind = "main"
    """`main`, `subagent`, or `side`: what a client asks beside its work, a title for instance."""
    is_new_thread: bool = False
    """The thread's first request in this session."""
    retry_of: str | None = None
    """The `request_id` that this one repeats because it failed, or resumes after a cut."""
    identity: Identity | None = None
    """Why this exchange is in this session and thread."""
    client: ClientInfo | None = None
    """The program that sent it, by its headers."""
    agent: str | None = None
    """The client's agent that asks: a name (Codex) or an id (Claude Code), where it says so."""
    project: str | None = None
    """The folder that the client works in, where it says so in a field or form of its own."""
    tenant: str | None = None
    """Whose request it is: that of its session."""
    previous_response_id: str | None = None
    """The response whose history this request goes on from, so that it holds only what is new."""
    is_prewarm: bool = False
    """It only prepares the provider (`generate: false`): no text, no output, and no part in latencies."""
    websocket: WebSocketPart | None = None
    """Null: plain HTTP."""
    redaction: Redaction | None = None
    """Null: it was off, everything is as it was sent."""
    bodies_deleted: bool = False
    """What was said was taken out of the session's events when its time was over; sizes, hashes and numbers stayed."""


# ---- response_recorded ----------------------------------------------------------------------------------------


class ToolCallSummary(Value, frozen=True):
    tool_name: str
    tool_call_id: str | None
    """Null where the provider gave none; `tool_call_recorded` then has `<request_id>#<n>`."""
    arguments: str
    execution_time_ms: float | None
    """Null here: a call's result arrives in a later request, see `tool_call_recorded`."""
    input_size_bytes: int
    output_size_bytes: int | None
    success: bool | None
    is_repeated: bool = False
    """An earlier response of the session had this id already; counted there."""
    call_type: str | None = None
    """The provider's word for this kind of call: `tool_use`, `function_call`, `mcp_call`, `shell_call`."""
    item_id: str | None = None
    """The call item's own id, where it has one beside the id that its output names (Responses)."""


class ResponseStats(Value, frozen=True):
    provider_latency_ms: float | None
    """First request byte handed to the provider → last response byte; null = never sent."""
    time_to_first_byte_ms: float | None
    time_to_first_token_ms: float | None
    pre_processing_ms: float
    post_processing_ms: float
    total_proxy_overhead_ms: float
    total_duration_ms: float
    """Request head received → exchange over."""
    tokens: Tokens
    usage_raw: dict[str, Any] | None
    tool_calls: list[ToolCallSummary]
    server_tool_calls: list[ToolCallSummary]
    response_size_bytes: int
    content_blocks: list[str]
    has_refusal: bool
    is_streaming: bool
    streaming: StreamingStats | None
    estimated_cost: Cost | None
    stream_events: list[StreamEvent]
    unknown_events: dict[str, int]
    context: Context | None = None
    """Null where the provider did not say how much input there was."""
    billing: Billing = Billing()
    """What the price depends on beside `tokens`; only what the provider said."""


class ResponseRecorded(_Event, frozen=True, tag="response_recorded"):
    response_text: str
    thinking_text: str
    response_json: msgspec.Raw
    """What a non-streaming call would have returned, rebuilt from the stream where it was one."""
    response_body: BodyCopy | None
    """The exact bytes, where `response_json` is not exactly them (always for streams)."""
    body_sha256: str
    model_used: str | None
    status_code: int | None
    """Null when no response head arrived. Over a WebSocket 101, or what an error event says it stands for."""
    outcome: Outcome
    success: bool
    finish_reason: str | None
    error: Error | None
    provider_request_id: str | None
    response_id: str | None
    rate_limits: dict[str, str] | None
    response_headers: list[tuple[str, str]]
    stats: ResponseStats
    redaction: Redaction | None = None
    """Null: it was off, everything is as it was sent."""


# ---- tool_call_recorded ---------------------------------------------------------------------------------------


class ToolCallRecorded(_Event, frozen=True, tag="tool_call_recorded"):
    """`request_id` is the exchange that carried the result."""

    tool_name: str
    tool_call_id: str
    call_request_id: str
    """The exchange whose response asked for the call."""
    model_name: str | None
    arguments: str
    execution_time_ms: float | None
    is_shared_bound: bool
    """Calls of one response that ran in parallel share the same upper bound."""
    input_size_bytes: int
    output_size_bytes: int
    output_text: str
    success: bool | None
    """Null = the client did not say."""
    error: str | None
    """Excerpt of the output of a failed call."""
    exit_code: int | None = None
    """Of a command, where the client says it."""
    success_evidence: str | None = None
    """What tells: `is_error` or `exit_code`, a field of the client's; `metadata.exit_code` or `exit_code_line`, a form
    of text that a client puts around a command's output."""
    success_confidence: Confidence | None = None
    """`certain` for a field, `likely` for a form of text."""
    parallel_count: int = 1
    """Calls of the same response; they ran side by side."""


# ---- stats_snapshot and completed -----------------------------------------------------------------------------


class StatsSnapshot(_Event, frozen=True, tag="stats_snapshot"):
    stats: SnapshotStats


class Completed(_Event, frozen=True, tag="completed"):
    success: bool
    error: str | None
    finish_reason: str | None
    """Of the last exchange."""
    reason: CompletionReason
    final_stats: FinalStats


Event = Started | RequestRecorded | ResponseRecorded | ToolCallRecorded | StatsSnapshot | Completed
