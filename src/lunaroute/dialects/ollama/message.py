"""An answer of Ollama's as the message that a later request repeats it by.

Requests have the messages of Chat Completions, and are read as such.
"""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.dialects.facts import MessageFacts
from lunaroute.dialects.loose import as_json, read_as
from lunaroute.dialects.openai_chat.message import read_message


class _Response(msgspec.Struct):
    message: msgspec.Raw = msgspec.Raw()


_response_decoder = msgspec.json.Decoder(_Response)


def read_answer(message: msgspec.Raw | dict[str, Any] | None) -> list[MessageFacts]:
    found = None if message is None else read_as(as_json(message), _response_decoder)
    return [] if found is None or not found.message else [read_message(found.message)]
