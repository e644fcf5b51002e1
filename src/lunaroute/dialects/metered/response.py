"""Answers of metered calls → ResponseFacts.

In: the body of a response that is no stream; it may be a sound or an image. Out: who answered, what it used, and text
where the answer is one (transcriptions, Cohere). A body that is no JSON is one block of what it is. Only the outline is
decoded: vectors and pictures are large.
"""

from __future__ import annotations

from typing import Any

import msgspec

from lunaroute.dialects.facts import ResponseFacts
from lunaroute.dialects.loose import as_dict, as_list, as_text, read_any, read_object, read_objects
from lunaroute.dialects.metered.usage import billing_of, find_usage, usage_of
from lunaroute.dialects.provider_error import error_in, read_error_body

_NOTHING = msgspec.Raw()


class _Body(msgspec.Struct, rename={"metrics": "amazon-bedrock-invocationMetrics"}):
    id: Any = None
    responseId: Any = None
    model: Any = None
    modelVersion: Any = None
    text: Any = None
    message: Any = None
    output: Any = None
    data: msgspec.Raw = _NOTHING
    finish_reason: Any = None
    stopReason: Any = None
    usage: Any = None
    usageMetadata: Any = None
    meta: Any = None
    metadata: Any = None
    metrics: Any = None
    error: Any = None


class _Item(msgspec.Struct):
    b64_json: msgspec.Raw = _NOTHING
    url: msgspec.Raw = _NOTHING


_decoder = msgspec.json.Decoder(_Body)
_items_decoder = msgspec.json.Decoder(list[_Item])


def read_response(body: bytes, status_code: int) -> ResponseFacts:
    if status_code >= 400:
        return read_error_body(body)
    found = read_object(body, _decoder)
    if found is None:
        value = read_any(body)
        kinds = ["binary"] if value is None and body else []
        message = None if value is None else msgspec.Raw(body)
        return ResponseFacts(message=message, content_blocks=kinds, error=error_in(value))
    usage = find_usage(msgspec.structs.asdict(found))
    text = text_of(msgspec.structs.asdict(found))
    return ResponseFacts(
        response_id=as_text(found.id) or as_text(found.responseId),
        model=as_text(found.model) or as_text(found.modelVersion),
        text=text,
        message=msgspec.Raw(body),
        usage=usage_of(usage),
        billing=billing_of(usage),
        content_blocks=["text"] if text else ["image"] * _image_count(found.data),
        finish_reason=as_text(found.finish_reason) or as_text(found.stopReason),
        error=error_in({"error": found.error}),
    )


def text_of(body: dict[str, Any]) -> str:
    """The answer's text, where the answer is one."""
    message = as_dict(body.get("message")) or as_dict(as_dict(body.get("output")).get("message"))
    pieces = [as_text(as_dict(part).get("text")) for part in as_list(message.get("content"))]
    return as_text(body.get("text")) or "".join([piece for piece in pieces if piece])


def _image_count(data: msgspec.Raw) -> int:
    return sum(bool(bytes(item.b64_json) or bytes(item.url)) for item in read_objects(data, _items_decoder))
