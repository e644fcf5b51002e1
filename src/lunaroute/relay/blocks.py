"""[io] What must not pass, because a rule of the user's says so (docs/alerts.md): a small file, written by who watches.

In: `blocks.json`, looked at once a second. Out: whether anything is blocked at all, and for one request, the line that
its client is told. A block ends by itself at its time, whether or not anybody is left to take it away.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Final

import msgspec

from .plans import RequestPlan

BLOCKS_FILE: Final = "blocks.json"


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """One rule's, for everything or for some."""

    message: str
    """What the client is told, in one line."""
    until_s: float
    """Unix seconds."""
    providers: list[str] | None = None
    """None: all."""
    header: tuple[str, str] | None = None
    """Only requests with this field, by which their client names its session: lower-case name, value."""
    tag: str | None = None
    """Only requests with this session tag."""


_decoder = msgspec.json.Decoder(list[Block])


class Blocks:
    """One per relay process."""

    def __init__(self, path: Path, tag_headers: frozenset[bytes]) -> None:
        self._path = path
        self._tag_headers = tag_headers
        self._seen: tuple[int, int] | None = None
        self._blocks: list[Block] = []

    def look(self) -> bool:
        """Read the file if it changed; whether anything is blocked now."""
        try:
            status = os.stat(self._path)
        except OSError:
            self._seen, self._blocks = None, []
            return False
        if self._seen != (status.st_mtime_ns, status.st_ino):
            self._seen = (status.st_mtime_ns, status.st_ino)
            self._read()
        if self._blocks:
            now_s = time.time()
            self._blocks = [block for block in self._blocks if block.until_s > now_s]
        return bool(self._blocks)

    def message_for(self, plan: RequestPlan) -> str:
        """What the client of this request is told; empty: it may pass."""
        now_s = time.time()
        return next((block.message for block in self._blocks if block.until_s > now_s and self._fits(block, plan)), "")

    def _read(self) -> None:
        try:
            self._blocks = _decoder.decode(self._path.read_bytes())
        except (OSError, msgspec.MsgspecError) as error:
            # What nobody understands blocks nothing: traffic comes first.
            self._blocks = []
            print(f"lunaroute: {self._path}: {error}; nothing is blocked", file=sys.stderr, flush=True)

    def _fits(self, block: Block, plan: RequestPlan) -> bool:
        route = plan.route
        if route is None:
            return False
        if block.providers is not None and route.upstream.name not in block.providers:
            return False
        if block.header is not None:
            name, value = block.header
            return any(line.name == name.encode() and line.value == value.encode() for line in plan.head.lines)
        if block.tag is not None:
            tag = block.tag.encode()
            is_named = any(line.name in self._tag_headers and line.value == tag for line in plan.head.lines)
            return is_named or block.tag in route.tags
        return True
