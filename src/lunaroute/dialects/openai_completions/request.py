"""Text completion request bodies → RequestFacts.

In: the decoded body. Out: facts; the prompt, or each of a list of prompts, is what the user said. Prompts given as
token numbers hold no text.
"""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.dialects.facts import RequestFacts
from lunaroute.dialects.loose import as_list, as_text, opening_of, read_any, read_object, read_text
from lunaroute.dialects.user_text import user_text


class _Body(msgspec.Struct):
    model: Any = None
    stream: Any = None
    prompt: msgspec.Raw = msgspec.Raw()


_decoder = msgspec.json.Decoder(_Body)


def read_request(body: bytes) -> RequestFacts:
    found = read_object(body, _decoder)
    if found is None:
        return RequestFacts(is_valid=False)
    only_text = read_text(found.prompt)
    prompts = [only_text] if only_text is not None else _prompts(found.prompt)
    return RequestFacts(
        model=as_text(found.model),
        is_streaming=found.stream is True,
        request_text=user_text([prompt for prompt in prompts if prompt]),
        message_count=len(prompts),
    )


def _prompts(raw: msgspec.Raw) -> list[str]:
    return [prompt for prompt in as_list(read_any(raw)) if isinstance(prompt, str)] if opening_of(raw) == b"[" else []
