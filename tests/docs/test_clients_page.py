"""The page of clients names the versions that the tests drive."""

from __future__ import annotations

import re

from tests.clients.catalog import CLIENTS, NODE

from .snippets import REPOSITORY

_NAMES = {"claude-code": "Claude Code", "codex": "Codex", "qwen-code": "Qwen Code", "vercel-ai": "Vercel AI SDK"}


def test_its_versions_are_those_of_the_catalog() -> None:
    page = (REPOSITORY / "docs" / "clients.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| ([\w -]+) \| (\d[\d.]*) \|", page, re.MULTILINE))
    pinned = {
        _NAMES.get(client.name, client.name): re.split("==|@", client.packages[0])[-1]
        for client in CLIENTS
        if client is not NODE
    }
    assert told == pinned
