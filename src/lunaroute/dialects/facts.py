"""Neutral facts: what every dialect reads out of a request or response, in the words of CONTRACT §0-§3.

Values only, no ids of ours and no clock of ours. `None` means the provider (or client) did not say; `0` means zero.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Dialect = Literal["anthropic_messages", "openai_chat", "openai_responses", "gemini", "unknown"]
"""The label that recordings carry (CONTRACT §0)."""

WireFormat = Literal[
    "anthropic_messages",
    "openai_chat",
    "openai_responses",
    "gemini",
    "openai_completions",
    "ollama",
    "bedrock_converse",
    "metered",
    "unknown",
]
"""What a reader is chosen by: the dialects, and formats that are read for what they report although their label is
`unknown`. `metered` is every call that says what it used and is no conversation: embeddings, images, audio …"""


class SideUsage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A pass of the provider that is billed on top of what is reported beside it (Anthropic: `usage.iterations`)."""

    kind: str
    """In the provider's words: `compaction`, `advisor_message`, `message` (a model that declined after it had begun
    to answer)."""
    model: str | None = None
    """None = the response's model."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_creation_tokens: int | None = None
    cache_creation_5m_tokens: int | None = None
    cache_creation_1h_tokens: int | None = None


class Billing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What decides a price beside the token counts, as far as the provider says it in the response. A field that is
    left out is null, zero, false or empty."""

    service_tier: str | None = None
    """Which tier served the request, in the provider's words: `flex`, `priority`, `batch` …"""
    speed: str | None = None
    """Anthropic: `fast` costs more."""
    inference_geo: str | None = None
    """Anthropic: `us` costs more."""
    web_searches: int = 0
    """Searches that the provider bills by the piece."""
    file_searches: int = 0
    image_input_tokens: int = 0
    """Part of the input tokens."""
    image_output_tokens: int = 0
    """Part of the output tokens."""
    audio_seconds: float = 0.0
    """Of speech, where it is billed by its length and not by tokens."""
    is_free: bool = False
    """The provider says that it bills nothing: a request refused before any output."""
    side_usages: list[SideUsage] = []
    """Billed on top; not part of any token count of the exchange."""


class Usage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Token counts by the inclusive rule of CONTRACT §3: parts are subsets, total = input + output."""

    input_tokens: int | None = None
    """All input, cache reads and writes included."""
    output_tokens: int | None = None
    """All output, thinking included."""
    thinking_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_creation_tokens: int | None = None
    cache_creation_5m_tokens: int | None = None
    cache_creation_1h_tokens: int | None = None
    audio_input_tokens: int | None = None
    audio_output_tokens: int | None = None
    raw: dict[str, Any] | None = None
    """The provider's own usage object, merged over a stream as the provider defines it, otherwise untouched."""


class ToolResult(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The outcome of a client-executed tool, as a later request carries it back to the model."""

    tool_call_id: str | None
    """None where the dialect, or this client, names no call."""
    output_text: str
    """The result as text; blocks joined by newlines, images and other binary parts left out."""
    output_size_bytes: int
    """Of `output_text` in UTF-8; of the blocks' JSON where not all of them are text."""
    is_error: bool | None = None
    """What the client said; None where the dialect has no such field."""
    exit_code: int | None = None
    """Of a command, where the dialect has a field for it."""
    tool_name: str | None = None
    """Where the result names its tool."""


class ContentBlock(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One block of what a request sends, as a provider's prompt cache sees it."""

    kind: str
    """In the client's words: `text`, `tool_use`, `function_call_output` …"""
    digest: bytes
    """Of its content without cache markers: equal content, equal digest, whatever the markers did."""
    size_bytes: int
    excerpt: str
    """The beginning of its text, or of its JSON."""


Role = Literal["user", "assistant", "tool", "system", "other"]
"""Who speaks: `system` is what the application says (developer messages too), `assistant` all that the model said."""


class MessageFacts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One message or input item of a request, read from its own JSON alone.

    A client re-sends the same bytes with every later request, so nothing in here may depend on what is around it."""

    role: Role
    size_bytes: int
    """Of its JSON as sent."""
    texts: list[str] = []
    """Text blocks, in order."""
    tool_results: list[ToolResult] = []
    tool_call_ids: list[str] = []
    """Calls of the model that it repeats."""
    tool_count: int = 0
    """Tools that it offers to the model (OpenAI's `additional_tools`); most are offered beside the messages."""
    digest: bytes | None = None
    """Of its normalised form (`message_digest`): what stays the same when the client sends it again, and what an
    answer has in common with its repetition. None = says nothing about the conversation (system prompts, reminders,
    reasoning)."""
    blocks: list[ContentBlock] = []


class Marks(msgspec.Struct, frozen=True, gc=False):
    """What stands for a list of messages up to each of them, in order (`marks`)."""

    chain: list[bytes] = []
    """One value for the messages up to here that say something: equal exactly where all of them are."""
    sizes: list[int] = []
    """Bytes of the messages up to here."""
    block_counts: list[int] = []
    blocks: bytes = b""
    """The digests of all blocks, one after the other."""


class IdentityHints(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Body fields that may tell which conversation a request belongs to (WIRE A4, steps 3-5)."""

    metadata_user_id: str | None = None
    """Anthropic `metadata.user_id`, unparsed."""
    prompt_cache_key: str | None = None
    client_metadata: dict[str, str] | None = None
    """Codex `client_metadata`, string values only."""
    previous_response_id: str | None = None
    """OpenAI `previous_response_id`, Anthropic `thread.previous_message_id`: the provider holds the history."""
    diagnostic_message_id: str | None = None
    """Anthropic `diagnostics.previous_message_id`: the same, of a request that sends its history."""


class RequestFacts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a request asks for."""

    model: str | None = None
    is_streaming: bool = False
    request_text: str = ""
    """The new user text of this turn: text of the user messages after the last assistant message."""
    message_count: int | None = None
    has_system_prompt: bool = False
    has_tools: bool = False
    tool_count: int = 0
    has_output_schema: bool = False
    """The answer is to be JSON of a given form."""
    tool_blocks: list[ContentBlock] = []
    """The tools that it declares, as a prompt cache sees them."""
    system_blocks: list[ContentBlock] = []
    """What stands before the messages."""
    cache_settings: bytes = b""
    """Digest of the other fields that a prompt cache depends on."""
    project: str | None = None
    """The folder that the client works in, where it says so in a form of its own."""
    messages: list[MessageFacts] = []
    """The whole history as sent, in order; `request_turn` tells what of it is new."""
    marks: Marks = Marks()
    """Of the messages, where the reader has made them."""
    hints: IdentityHints = IdentityHints()
    is_prewarm: bool = False
    """It only prepares the provider for a request to come and asks for no output."""
    is_valid: bool = True
    """False when the body is not what the dialect expects (not JSON, not an object); the rest is then empty."""
    is_portable: bool = False
    """The body is known to be JSON that every reader takes (`portable`); False means only that nobody looked."""

    @property
    def tool_results(self) -> list[ToolResult]:
        """Every tool result in the body, in order, the re-sent ones too; pairing decides which are new."""
        return [result for message in self.messages for result in message.tool_results]


class ToolCall(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A call of a client-executed tool that the model asked for."""

    tool_call_id: str | None
    """What the output will name."""
    tool_name: str
    call_type: str | None = None
    """The provider's word for this kind of call or item: `tool_use`, `function_call`, `mcp_call`, `shell_call`."""
    item_id: str | None = None
    """The item's own id, where it has one beside `tool_call_id` (Responses)."""
    arguments: str
    """As the provider sent it: JSON text, or free text for custom tools. Possibly cut, when the stream was."""
    input_size_bytes: int
    t_ns: int | None = None
    """Monotonic arrival of the end of the call's block (streams only)."""


class Milestone(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A point of interest in a stream."""

    event_type: Literal["first_token", "block_start", "block_stop", "error", "completion"]
    t_ns: int
    content: str | None = None
    """Block type for `block_start` and `block_stop`, message for `error`, finish reason for `completion`."""


class ProviderError(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    type: str | None
    message: str | None
    status_code: int | None = None
    """The HTTP status that the error says it stands for, in numbers (`code` or `status`)."""


class ResponseFacts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a response amounts to, streamed or not, complete or cut."""

    response_id: str | None = None
    model: str | None = None
    text: str = ""
    """Assistant text (not thinking), blocks joined in order; the refusal's text where there is nothing else."""
    thinking_text: str = ""
    message: msgspec.Raw | dict[str, Any] | None = None
    """What a non-streaming call would have returned: the body itself, or rebuilt from the stream."""
    usage: Usage | None = None
    billing: Billing = Billing()
    tool_calls: list[ToolCall] = []
    server_tool_calls: list[ToolCall] = []
    """Executed by the provider (web search, code interpreter, MCP); never counted as client tool calls."""
    content_blocks: list[str] = []
    """Types of the content blocks or output items, in order, in the provider's words."""
    finish_reason: str | None = None
    """In the provider's words: `stop_reason`, `finish_reason`; for Responses `status` or `status:reason`; for Gemini
    `blockReason` where the prompt was blocked."""
    has_refusal: bool = False
    error: ProviderError | None = None
    """An error the body reports, also inside a 200 or in the middle of a stream."""
    error_status: int | None = None
    """The HTTP status that an error inside a stream says it stands for."""
    is_finished: bool = True
    """For streams: the dialect's terminal event was seen."""
    milestones: list[Milestone] = []
    unknown_events: dict[str, int] = {}
    """Event, block and item types this program does not know, counted."""
