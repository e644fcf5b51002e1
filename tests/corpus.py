"""The corpus of real provider exchanges: test data that lives outside this repository.

It is found by the environment variable LUNAROUTE_CORPUS or at ../shared/corpus beside the repository; tests that
need it skip, with that sentence, where it is absent.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

_DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "corpus"


def find_corpus() -> Path | None:
    path = Path(os.environ.get("LUNAROUTE_CORPUS") or _DEFAULT)
    return path if (path / "expected.json").is_file() else None


def corpus_dir() -> Path:
    """The corpus folder; skips the calling test (or module) where there is none."""
    path = find_corpus()
    if path is None:
        pytest.skip("no corpus: set LUNAROUTE_CORPUS or put it at ../shared/corpus", allow_module_level=True)
    return path


@cache
def expected() -> dict[str, dict[str, Any]]:
    """{exchange id: truth as reported by the provider}, see the corpus's README."""
    truth: dict[str, dict[str, Any]] = json.loads((corpus_dir() / "expected.json").read_bytes())
    return truth


@cache
def _index() -> tuple[dict[str, Any], ...]:
    lines = (corpus_dir() / "index.jsonl").read_bytes().splitlines()
    return tuple(json.loads(line) for line in lines if line)


def exchange_ids(*providers: str) -> list[str]:
    """Ids of the exchanges of the given wire protocols (`anthropic`, `openai-chat`, …); all without arguments."""
    return [row["id"] for row in _index() if not providers or row["provider"] in providers]


def exchange(exchange_id: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((corpus_dir() / "exchanges" / f"{exchange_id}.json").read_bytes())
    return loaded


def exchanges(*providers: str) -> Iterator[dict[str, Any]]:
    for exchange_id in exchange_ids(*providers):
        yield exchange(exchange_id)
