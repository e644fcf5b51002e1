"""Reading a response body of any dialect: is it a stream, and what does it amount to?

In: the decoded body as it arrived, its content-type and status. Out: ResponseFacts. Invariant: never raises, and the
split into chunks changes nothing but times.
"""

from __future__ import annotations

import re

from lunaroute.assemble.sse import SseParser
from lunaroute.dialects.anthropic_messages import AnthropicMessagesReader
from lunaroute.dialects.dialect import DialectReader
from lunaroute.dialects.facts import Dialect, ResponseFacts
from lunaroute.dialects.openai_chat import OpenAIChatReader
from lunaroute.dialects.openai_responses import OpenAIResponsesReader
from lunaroute.dialects.unknown import UnknownReader

_UNKNOWN = UnknownReader()
_READERS: dict[Dialect, DialectReader] = {
    "anthropic_messages": AnthropicMessagesReader(),
    "openai_chat": OpenAIChatReader(),
    "openai_responses": OpenAIResponsesReader(),
}

_BLANK = b" \t\r\n"
_SSE_FIELD = re.compile(rb"\A(?:\xef\xbb\xbf)?\s*(?::|(?:data|event|id|retry):)")


def reader_for(dialect: Dialect) -> DialectReader:
    """The reader of a dialect; the unknown dialect's for one that is not read yet."""
    return _READERS.get(dialect, _UNKNOWN)


def is_event_stream(chunks: list[tuple[int, bytes]], content_type: str | None) -> bool:
    """Whether a body is a stream of server-sent events.

    The bytes decide where they can: providers answer `stream: true` with JSON, and send errors as plain JSON under
    `text/event-stream` (WIRE B11, B15). The content-type decides about the rest, an empty body for instance."""
    head = b""
    for _, data in chunks:
        head = (head + data).lstrip(_BLANK)
        if len(head) >= 16:
            break
    if _SSE_FIELD.match(head):
        return True
    if head[:1] in (b"{", b"["):
        return False
    return (content_type or "").lower().lstrip().startswith("text/event-stream")


def read_response_body(
    dialect: Dialect, chunks: list[tuple[int, bytes]], content_type: str | None, status_code: int
) -> ResponseFacts:
    """What a response amounts to. `chunks` are (arrival t_ns, decoded bytes) of each read."""
    reader = reader_for(dialect)
    if not is_event_stream(chunks, content_type):
        # Some gateways send blank padding until the answer is there (WIRE B15).
        return reader.read_response(b"".join([data for _, data in chunks]).strip(_BLANK), status_code)
    parser = SseParser()
    stream = reader.open_stream()
    for t_ns, data in chunks:
        for event in parser.feed(data, t_ns):
            stream.feed(event)
    for event in parser.finish():
        stream.feed(event)
    return stream.finish()
