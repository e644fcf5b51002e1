"""Bodies of metered calls → RequestFacts.

In: the decoded body, JSON or a form with a file in it. Out: the model, and what the user wrote. Nothing else of a form
is read: the rest is the file.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from lunaroute.dialects.facts import RequestFacts
from lunaroute.dialects.loose import as_list, as_text, read_object
from lunaroute.dialects.user_text import user_text


class _Body(msgspec.Struct):
    model: Any = None
    stream: Any = None
    stream_format: Any = None
    prompt: Any = None
    input: Any = None
    message: Any = None
    query: Any = None


_decoder = msgspec.json.Decoder(_Body)
_FORM_FIELD = re.compile(
    rb'content-disposition: form-data; name="?(model|stream|prompt)"?\r\n(?:[^\r\n]+\r\n)*\r\n([^\r\n]*)\r\n--', re.I
)


def read_request(body: bytes) -> RequestFacts:
    if body.startswith(b"--"):
        return _read_form(body)
    found = read_object(body, _decoder)
    if found is None:
        return RequestFacts(is_valid=False)
    texts: list[str] = []
    for value in (found.prompt, found.input, found.message, found.query):
        texts += [text for text in (value, *as_list(value)) if isinstance(text, str)]
    return RequestFacts(
        model=as_text(found.model),
        is_streaming=found.stream is True or found.stream_format == "sse",
        request_text=user_text(texts),
    )


def _read_form(body: bytes) -> RequestFacts:
    fields = {found[1].lower(): found[2].decode("utf-8", "replace") for found in _FORM_FIELD.finditer(body)}
    return RequestFacts(
        model=fields.get(b"model") or None,
        is_streaming=fields.get(b"stream", "").lower() == "true",
        request_text=user_text([fields.get(b"prompt", "")]),
    )
