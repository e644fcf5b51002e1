"""Pictures in requests, in the forms of all providers; nothing that a browser would load or run."""

from __future__ import annotations

import json
from typing import Any, cast

import msgspec
import pytest

from lunaroute.events.types import RequestRecorded
from lunaroute.query.images import MOST_IMAGES, new_images
from tests.builders import SessionScript

PNG = "iVBORw0KGgo="
URL = f"data:image/png;base64,{PNG}"


def _request(body: Any, new_message_count: int | None = None) -> RequestRecorded:
    script = SessionScript("images").ask("look", request_json=json.dumps(body).encode())
    request = cast(RequestRecorded, script.events[-1])
    stats = msgspec.structs.replace(request.stats, new_message_count=new_message_count)
    return msgspec.structs.replace(request, stats=stats)


_ANTHROPIC = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"role": "user", "content": [_ANTHROPIC]}]},
        {"messages": [{"role": "user", "content": [{"type": "tool_result", "content": [_ANTHROPIC]}]}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": URL}}]}]},
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": URL}]}]},
        {"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": PNG}}]}]},
        {"contents": [{"parts": [{"inline_data": {"mime_type": "image/png", "data": PNG}}]}]},
    ],
)
def test_pictures_are_found_in_every_form(body: Any) -> None:
    assert new_images(_request(body)) == [URL]


def test_pictures_of_the_history_are_not_new() -> None:
    body = {"messages": [{"content": [_ANTHROPIC]}, {"content": "thanks"}, {"content": "image?"}]}
    assert new_images(_request(body, 2)) == []
    assert new_images(_request(body, 0)) == []
    assert new_images(_request(body, 3)) == [URL]


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/x.png",
        "data:image/svg+xml;base64,PHN2Zz4=",
        "data:text/html;base64,PHNjcmlwdD4=",
        f'{URL}" onerror="x',
        "javascript:1",
        7,
    ],
)
def test_nothing_else_is_a_picture(url: Any) -> None:
    block = {"type": "input_image", "image_url": url}
    assert new_images(_request({"input": [{"content": [block]}]})) == []


@pytest.mark.parametrize(
    "body", [{}, [], {"messages": {}}, {"messages": "image"}, "image", None, {"image": {"source": 1}}]
)
def test_any_body_will_do(body: Any) -> None:
    assert new_images(_request(body)) == []


def test_there_is_an_end() -> None:
    blocks = [{"type": "input_image", "image_url": f"{URL[:-2]}{n:02}"} for n in range(30)]
    assert len(new_images(_request({"input": [{"content": blocks}]}))) == MOST_IMAGES
    deep: Any = _ANTHROPIC
    for _ in range(200):
        deep = [deep]
    assert new_images(_request({"messages": deep})) == []
