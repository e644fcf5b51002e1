"""[pure] Pictures that a request shows to the model for the first time.

In: a request as recorded. Out: each picture as a data URL. Read are the forms of Anthropic (`source`), OpenAI
(`image_url`) and Gemini (`inlineData`), wherever they stand in what is new, results of tools as well. A picture that is
only named by an address is none: it is not in the recording.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from lunaroute.events.types import RequestRecorded

_LISTS: Final = ("messages", "input", "contents")
_SIGNS: Final = (b"image", b"inlineData", b"inline_data")
_DATA_URL: Final = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]+")
_DEEPEST: Final = 12
MOST_IMAGES: Final = 8
MOST_CHARS: Final = 8 * 1024 * 1024


def new_images(request: RequestRecorded) -> list[str]:
    """At most MOST_IMAGES of at most MOST_CHARS each."""
    text = bytes(request.request_json)
    if not any(sign in text for sign in _SIGNS):
        return []
    try:
        body = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return []
    if not isinstance(body, dict):
        return []
    messages: list[Any] = next((body[name] for name in _LISTS if isinstance(body.get(name), list)), [])
    count = request.stats.new_message_count
    new = messages if count is None else messages[max(0, len(messages) - count) :]
    found = (url for url in _found(new, 0) if len(url) <= MOST_CHARS and _DATA_URL.fullmatch(url))
    return list(dict.fromkeys(found))[:MOST_IMAGES]


def _found(value: Any, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        return
    if isinstance(value, dict):
        url = _url_of(value)
        if url is not None:
            yield url
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _found(one, depth + 1)


def _url_of(block: dict[str, Any]) -> str | None:
    if block.get("type") in ("image_url", "input_image"):
        given = block.get("image_url")
        given = given.get("url") if isinstance(given, dict) else given
        return given if isinstance(given, str) else None
    for name, kind in (("source", "media_type"), ("inlineData", "mimeType"), ("inline_data", "mime_type")):
        inner = block.get(name)
        if isinstance(inner, dict) and isinstance(inner.get("data"), str) and isinstance(inner.get(kind), str):
            return f"data:{inner[kind]};base64,{inner['data']}"
    return None
