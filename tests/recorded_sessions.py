"""The corpus's real Claude Code sessions, call by call, and what a prompt cache sees of their requests.

By default the long sessions are cut short; TEST_WHOLE_SESSIONS=1 (`make test-sessions`) takes all of them.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from tests.corpus import corpus_dir, find_corpus

IS_WHOLE = os.environ.get("TEST_WHOLE_SESSIONS") == "1"


def session_names() -> list[str]:
    folder = find_corpus()
    return [] if folder is None else sorted(path.name for path in (folder / "sessions").glob("cc-*"))


class Call:
    """One API call of a session: the request as sent, compact, and its answer."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.request: dict[str, Any] = fields["request"]
        self.response: dict[str, Any] = fields["response"]
        self.at_ms = round(datetime.fromisoformat(fields["timestamp"]).timestamp() * 1000)
        self.body = compact(self.request)
        usage = self.response["usage"]
        self.read: int = usage.get("cache_read_input_tokens") or 0
        self.written: int = usage.get("cache_creation_input_tokens") or 0
        self.input_tokens: int = usage["input_tokens"] + self.read + self.written
        self.output_tokens: int = usage["output_tokens"]
        self.blocks = [_blocks(message) for message in self.request["messages"]]

    @property
    def session_id(self) -> str:
        """The client's own."""
        return str(self.request["metadata"]["user_id"].rpartition("_session_")[2])


def compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _blocks(message: dict[str, Any]) -> list[str]:
    """What a cache sees of a message: no markers, a string as a block of text."""
    content = message["content"]
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    return [json.dumps({k: v for k, v in block.items() if k != "cache_control"}, sort_keys=True) for block in blocks]


@cache
def session_calls(name: str, at_most: int) -> tuple[Call, ...]:
    """The calls of a session, so many of them unless all are asked for."""
    path: Path = corpus_dir() / "sessions" / name
    lines = subprocess.run(["zstd", "-dc", "--long=27", path], capture_output=True, check=True).stdout.splitlines()
    return tuple(Call(json.loads(line)) for line in (lines if IS_WHOLE else lines[:at_most]))


def asked_tool_calls(calls: Iterable[Call]) -> set[str]:
    """Ids of the tool calls that the model asked for."""
    return {block["id"] for call in calls for block in call.response["content"] if block["type"] == "tool_use"}


def answered_tool_calls(calls: Iterable[Call]) -> set[str]:
    """Ids of the tool calls whose results were sent."""
    return {
        block["tool_use_id"]
        for call in calls
        for message in call.request["messages"]
        if isinstance(message["content"], list)
        for block in message["content"]
        if block["type"] == "tool_result"
    }


def with_previous(calls: tuple[Call, ...]) -> Iterator[tuple[Call | None, Call]]:
    yield from zip((None, *calls[:-1]), calls, strict=True)


def common_messages(earlier: Call, later: Call) -> int:
    """How many whole messages at the beginning are the same."""
    same = common_blocks(earlier, later)
    count = 0
    for blocks in later.blocks:
        same -= len(blocks)
        if same < 0:
            break
        count += 1
    return count


def common_blocks(earlier: Call, later: Call) -> int:
    """How many blocks of the messages are the same at the beginning."""
    before = [block for blocks in earlier.blocks for block in blocks]
    after = [block for blocks in later.blocks for block in blocks]
    pairs = enumerate(zip(before, after, strict=False))
    return next((index for index, (one, other) in pairs if one != other), min(len(before), len(after)))


def is_continued(earlier: Call, later: Call) -> bool:
    """Whether all of the earlier request's messages stand at the beginning of the later's."""
    return common_blocks(earlier, later) == sum(map(len, earlier.blocks))
