"""The lists of models: `GET /v1/models`, `GET /v1beta/models`, and one model of each.

In: a path and the dialect it is asked in. Out: the provider's JSON. Invariant: the models named are real ones, so that
clients that ask before they start find theirs.
"""

from __future__ import annotations

import re
from typing import Any

from lunaroute.simulator.turn import DialectName, RequestRefusedError

_PATH = re.compile(r"/(?:v1|v1beta|v1alpha)/models(?:/([^/:]+))?/?")
_ANTHROPIC = ("claude-opus-4-8", "claude-sonnet-4-6", "claude-haiku-4-5")
_OPENAI = ("gpt-5", "gpt-5-mini", "gpt-4.1", "gpt-4o-mini")
_GOOGLE = ("gemini-3.5-flash", "gemini-2.5-pro", "gemini-2.5-flash")


def is_listing(path: str) -> bool:
    return _PATH.fullmatch(path) is not None


def models(path: str, dialect: DialectName) -> dict[str, Any]:
    """Raises RequestRefusedError (404) for a model that is not listed."""
    found = _PATH.fullmatch(path)
    name = found[1] if found else path.strip("/")
    whole = _list(dialect)
    if not name:
        return whole
    listed: list[dict[str, Any]] = whole.get("data") or whole["models"]
    for model in listed:
        if name in (model.get("id"), str(model.get("name")).removeprefix("models/")):
            return model
    raise RequestRefusedError(404, f"model: {name}", "model_not_found")


def _list(dialect: DialectName) -> dict[str, Any]:
    if dialect == "gemini":
        return {"models": [_gemini(name) for name in _GOOGLE]}
    if dialect == "anthropic_messages":
        made = "2026-01-01T00:00:00Z"
        listed = [{"type": "model", "id": name, "display_name": name, "created_at": made} for name in _ANTHROPIC]
        return {"data": listed, "has_more": False, "first_id": listed[0]["id"], "last_id": listed[-1]["id"]}
    made_s = 1_767_225_600
    return {
        "object": "list",
        "data": [{"id": name, "object": "model", "created": made_s, "owned_by": "system"} for name in _OPENAI],
    }


def _gemini(name: str) -> dict[str, Any]:
    return {
        "name": f"models/{name}",
        "version": "001",
        "displayName": name,
        "inputTokenLimit": 1_048_576,
        "outputTokenLimit": 65_536,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
    }
