"""Reading bodies of any wire format: which framing a response has, and what it amounts to.

In: the decoded body as it arrived, its content-type and status. Out: facts. Invariant: never raises, and the split
into chunks changes nothing but times.
"""

from __future__ import annotations

import re
from typing import Literal, Protocol

import msgspec

from lunaroute.assemble.aws_events import AwsEventParser
from lunaroute.assemble.json_stream import JsonStreamParser
from lunaroute.assemble.sse import SseParser
from lunaroute.assemble.sse_event import ServerSentEvent
from lunaroute.dialects.anthropic_messages import AnthropicMessagesReader
from lunaroute.dialects.bedrock_converse import BedrockConverseReader
from lunaroute.dialects.delta_shape import DeltaShape
from lunaroute.dialects.detect import is_streaming_path, model_in_path
from lunaroute.dialects.dialect import DialectReader
from lunaroute.dialects.facts import MessageFacts, RequestFacts, ResponseFacts, WireFormat
from lunaroute.dialects.gemini import GeminiReader
from lunaroute.dialects.metered import MeteredReader
from lunaroute.dialects.ollama import OllamaReader
from lunaroute.dialects.openai_chat import OpenAIChatReader
from lunaroute.dialects.openai_completions import OpenAICompletionsReader
from lunaroute.dialects.openai_responses import OpenAIResponsesReader
from lunaroute.dialects.so_far import NOTHING, SoFar
from lunaroute.dialects.unknown import UnknownReader

Framing = Literal["whole", "server_sent_events", "json_stream", "aws_events"]

_READERS: dict[WireFormat, DialectReader] = {
    "anthropic_messages": AnthropicMessagesReader(),
    "openai_chat": OpenAIChatReader(),
    "openai_responses": OpenAIResponsesReader(),
    "gemini": GeminiReader(),
    "openai_completions": OpenAICompletionsReader(),
    "ollama": OllamaReader(),
    "bedrock_converse": BedrockConverseReader(),
    "metered": MeteredReader(),
    "unknown": UnknownReader(),
}

_BLANK = b" \t\r\n"
_SSE_FIELD = re.compile(rb"\A(?:\xef\xbb\xbf)?\s*(?::|(?:data|event|id|retry):)")
_JSON_LINES = ("application/x-ndjson", "application/stream+json")
_AWS_EVENTS = "application/vnd.amazon.eventstream"
_EVENT_STREAM = "text/event-stream"


class _Parser(Protocol):
    is_broken: bool

    def feed(self, data: bytes, t_ns: int) -> list[ServerSentEvent]: ...

    def finish(self) -> list[ServerSentEvent]: ...


_PARSERS: dict[Framing, type[_Parser]] = {
    "server_sent_events": SseParser,
    "json_stream": JsonStreamParser,
    "aws_events": AwsEventParser,
}


def reader_for(wire_format: WireFormat) -> DialectReader:
    """The reader of a wire format."""
    return _READERS[wire_format]


def read_request_body(wire_format: WireFormat, path: str, body: bytes) -> RequestFacts:
    """What a request asks for, by its body and, where that leaves it open, by its path."""
    facts = reader_for(wire_format).read_request(body)
    if wire_format == "unknown":
        return facts
    model, is_streaming = facts.model or model_in_path(path), facts.is_streaming or is_streaming_path(path)
    if model == facts.model and is_streaming == facts.is_streaming:
        return facts
    return msgspec.structs.replace(facts, model=model, is_streaming=is_streaming)


def read_answer(wire_format: WireFormat, facts: ResponseFacts) -> list[MessageFacts]:
    """A response as the messages that a later request will repeat it by."""
    return [] if facts.message is None else reader_for(wire_format).read_answer(facts.message)


def framing_of(
    wire_format: WireFormat, chunks: list[tuple[int, bytes]], content_type: str | None, status_code: int = 200
) -> Framing:
    """How a response body is framed: as one piece, or as which kind of stream.

    The bytes decide where they can: providers answer `stream: true` with JSON, and send errors as plain JSON under
    `text/event-stream` (WIRE B11, B15). The content-type decides about the rest, an empty body for instance."""
    kind = (content_type or "").partition(";")[0].strip().lower()
    head = _head(chunks)
    if _SSE_FIELD.match(head):
        return "server_sent_events"
    if head[:1] in (b"{", b"["):
        is_row = kind in _JSON_LINES or _is_row(wire_format, head, chunks)
        return "json_stream" if is_row and status_code < 400 else "whole"
    if kind in _JSON_LINES:
        return "json_stream"
    if kind == _AWS_EVENTS:
        return "aws_events"
    return "server_sent_events" if kind == _EVENT_STREAM else "whole"


def read_response_body(
    wire_format: WireFormat, chunks: list[tuple[int, bytes]], content_type: str | None, status_code: int
) -> ResponseFacts:
    """What a response amounts to. `chunks` are (arrival t_ns, decoded bytes) of each read."""
    return read_framed_body(
        wire_format, framing_of(wire_format, chunks, content_type, status_code), chunks, status_code
    )


def read_framed_body(
    wire_format: WireFormat, framing: Framing, chunks: list[tuple[int, bytes]], status_code: int
) -> ResponseFacts:
    """The same where the framing is known."""
    reader = reader_for(wire_format)
    if framing == "whole":
        # Some gateways send blank padding until the answer is there (WIRE B15).
        return reader.read_response(b"".join([data for _, data in chunks]).strip(_BLANK), status_code)
    body = StreamedBody(wire_format, framing)
    for t_ns, data in chunks:
        body.feed(t_ns, data)
    return body.finish()


class StreamedBody:
    """A body of a framing that is not `whole`: feed(t_ns, data)* → finish(), once; `so_far()` at any time before."""

    def __init__(self, wire_format: WireFormat, framing: Framing) -> None:
        self._parser = _PARSERS[framing]()
        self._stream = reader_for(wire_format).open_stream()

    def feed(self, t_ns: int, data: bytes) -> None:
        """Take the next decoded bytes, which arrived at `t_ns`."""
        if isinstance(self._parser, SseParser) and self._stream.deltas is not None:
            self._feed_blocks(self._parser, self._stream.deltas, self._parser.blocks(data, t_ns))
            return
        for event in self._parser.feed(data, t_ns):
            self._stream.feed(event)

    def _feed_blocks(self, parser: SseParser, deltas: DeltaShape, blocks: list[bytes]) -> None:
        """Deltas that follow each other together, all others as events."""
        at = 0
        while at < len(blocks):
            taken = deltas.take_blocks(blocks, at)
            if not taken:
                event = parser.read(blocks[at])
                if event is not None:
                    self._stream.feed(event)
            at += taken or 1

    def so_far(self) -> SoFar:
        """What there is of it until now."""
        return NOTHING if self._parser.is_broken else self._stream.so_far()

    def finish(self) -> ResponseFacts:
        """What it amounts to."""
        for event in self._parser.finish():
            self._stream.feed(event)
        # Bytes that are not what the content-type says tell nothing, not even that they were cut.
        return ResponseFacts() if self._parser.is_broken else self._stream.finish()


class MessageStream:
    """The same for the messages of a WebSocket: each a payload and a line feed; one without is cut."""

    def __init__(self, wire_format: WireFormat) -> None:
        self._stream = reader_for(wire_format).open_stream()

    def feed(self, t_ns: int, data: bytes) -> None:
        """Take the next message."""
        is_cut = not data.endswith(b"\n")
        self._stream.feed(ServerSentEvent(event="", data=data if is_cut else data[:-1], t_ns=t_ns, is_cut=is_cut))

    def so_far(self) -> SoFar:
        """What there is of it until now."""
        return self._stream.so_far()

    def finish(self) -> ResponseFacts:
        """What they amount to."""
        return self._stream.finish()


def read_messages(wire_format: WireFormat, messages: list[tuple[int, bytes]]) -> ResponseFacts:
    """What the messages of a WebSocket amount to: (arrival t_ns, payload and a line feed)."""
    stream = MessageStream(wire_format)
    for t_ns, data in messages:
        stream.feed(t_ns, data)
    return stream.finish()


def _head(chunks: list[tuple[int, bytes]]) -> bytes:
    head = b""
    for _, data in chunks:
        head = (head + data).lstrip(_BLANK)
        if len(head) >= 16:
            break
    return head


def _is_row(wire_format: WireFormat, head: bytes, chunks: list[tuple[int, bytes]]) -> bool:
    """Whether JSON is a row of objects although no content-type says so: Gemini streams an array, Ollama lines."""
    if wire_format == "gemini":
        return head.startswith(b"[")
    return wire_format == "ollama" and b"}\n{" in b"".join([data for _, data in chunks])
