"""Text completion objects → ResponseFacts.

In: the body of a response that is no stream, or the completion rebuilt from one. Out: facts. Token counts are those of
Chat Completions.
"""

from __future__ import annotations

import msgspec

from lunaroute.dialects.facts import Billing, ResponseFacts
from lunaroute.dialects.loose import as_list, as_text, read_any
from lunaroute.dialects.openai_chat.usage import find_usage, usage_of
from lunaroute.dialects.provider_error import error_in, read_error_body


def read_response(body: bytes, status_code: int) -> ResponseFacts:
    if status_code >= 400:
        return read_error_body(body)
    value = read_any(body)
    error = error_in(value)
    if not isinstance(value, dict):
        return ResponseFacts(message=msgspec.Raw(body) if value is not None else None, error=error)
    choices = [choice for choice in as_list(value.get("choices")) if isinstance(choice, dict)]
    texts = [text for choice in choices if (text := as_text(choice.get("text")))]
    return ResponseFacts(
        response_id=as_text(value.get("id")),
        model=as_text(value.get("model")),
        text="\n".join(texts),
        message=msgspec.Raw(body),
        usage=usage_of(find_usage(value)),
        billing=Billing(service_tier=as_text(value.get("service_tier"))),
        content_blocks=["text"] * len(texts),
        finish_reason=as_text(choices[0].get("finish_reason")) if choices else None,
        error=error,
    )
