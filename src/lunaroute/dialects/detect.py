"""Which dialect a request speaks, told by its method and path alone.

Bodies are not looked at: clients put gateways, prefixes and deployments before these paths, but keep the paths.
"""

from __future__ import annotations

from lunaroute.dialects.facts import Dialect

_SUFFIXES: tuple[tuple[str, Dialect], ...] = (
    ("/v1/messages", "anthropic_messages"),
    ("/chat/completions", "openai_chat"),
    ("/responses", "openai_responses"),
)


def detect_dialect(method: str, path: str) -> Dialect:
    """The dialect of a request; `unknown` for everything this program does not read.

    `path` may carry a prefix, a query and a fragment. Only POST creates messages: GET and DELETE of the same paths
    list or fetch. Longer paths (`/v1/messages/count_tokens`, `/v1/messages/batches`, `/responses/{id}/cancel`) are
    other operations."""
    if method.upper() != "POST":
        return "unknown"
    plain = path.split("?", 1)[0].split("#", 1)[0].rstrip("/")
    for suffix, dialect in _SUFFIXES:
        if plain.endswith(suffix):
            return dialect
    # Anthropic's models on Vertex AI: the same body, another path.
    if "/publishers/anthropic/models/" in plain and plain.endswith((":rawPredict", ":streamRawPredict")):
        return "anthropic_messages"
    return "unknown"
