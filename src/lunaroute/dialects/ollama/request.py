"""Ollama request bodies → RequestFacts.

In: the decoded body. Out: facts. `messages` are those of Chat Completions; `prompt` and `system` stand for them in
`/api/generate`, `input` in `/api/embed`. What is not said to be in one piece is streamed.
"""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.dialects.facts import RequestFacts
from lunaroute.dialects.loose import as_list, as_text, read_object
from lunaroute.dialects.openai_chat import request as openai_chat
from lunaroute.dialects.user_text import user_text


class _Body(msgspec.Struct):
    stream: Any = None
    prompt: Any = None
    system: Any = None
    input: Any = None


_decoder = msgspec.json.Decoder(_Body)


def read_request(body: bytes) -> RequestFacts:
    facts, found = openai_chat.read_request(body), read_object(body, _decoder)
    if found is None or not facts.is_valid:
        return facts
    texts = [text for text in (found.prompt, found.input, *as_list(found.input)) if isinstance(text, str)]
    return msgspec.structs.replace(
        facts,
        is_streaming=found.stream is not False and found.input is None,
        request_text=facts.request_text or user_text(texts),
        message_count=facts.message_count or len(texts),
        has_system_prompt=facts.has_system_prompt or bool(as_text(found.system)),
    )
