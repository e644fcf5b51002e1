"""Each dialect's list of models, and one model of it."""

from __future__ import annotations

import pytest

from lunaroute.simulator.listing import is_listing, models
from lunaroute.simulator.turn import DialectName, RequestRefusedError

LISTS: list[tuple[str, DialectName, str]] = [
    ("/v1/models", "anthropic_messages", "claude-haiku-4-5"),
    ("/v1/models", "openai_chat", "gpt-4.1"),
    ("/v1beta/models", "gemini", "gemini-2.5-pro"),
]


@pytest.mark.parametrize(("path", "dialect", "name"), LISTS)
def test_a_listed_model_is_found_by_its_name(path: str, dialect: DialectName, name: str) -> None:
    whole = models(path, dialect)
    listed = whole.get("data") or whole["models"]
    assert models(f"{path}/{name}", dialect) in listed
    with pytest.raises(RequestRefusedError, match="model: nobody"):
        models(f"{path}/nobody", dialect)


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        ("/v1/models", True),
        ("/v1beta/models/m", True),
        ("/v1beta/models/m:countTokens", False),
        ("/v1/messages", False),
    ],
)
def test_what_is_a_listing(path: str, is_one: bool) -> None:
    assert is_listing(path) is is_one
