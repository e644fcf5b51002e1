"""Which wire format a request is in, told by its method and path alone, and what else the path says.

Bodies are not looked at: clients put gateways, prefixes and deployments before these paths, but keep the paths. Only
POST creates something: GET and DELETE of the same paths list or fetch. Longer paths (`/v1/messages/count_tokens`,
`/v1/messages/batches`, `/responses/{id}/cancel`, `/responses/input_tokens`) are other operations: what they report
is no use of tokens, or was counted when it was made.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import get_args
from urllib.parse import unquote

from lunaroute.dialects.facts import Dialect, WireFormat

_SUFFIXES: tuple[tuple[str, WireFormat], ...] = (
    ("/v1/messages", "anthropic_messages"),
    ("/chat/completions", "openai_chat"),
    # Mistral's: the same answers to other questions.
    ("/fim/completions", "openai_chat"),
    ("/agents/completions", "openai_chat"),
    ("/responses", "openai_responses"),
    ("/responses/compact", "openai_responses"),
    (":generateContent", "gemini"),
    (":streamGenerateContent", "gemini"),
    ("/completions", "openai_completions"),
    ("/api/chat", "ollama"),
    ("/api/generate", "ollama"),
    ("/api/embed", "ollama"),
    ("/embeddings", "metered"),
    ("/images/generations", "metered"),
    ("/images/edits", "metered"),
    ("/images/variations", "metered"),
    ("/audio/speech", "metered"),
    ("/audio/transcriptions", "metered"),
    ("/audio/translations", "metered"),
    ("/moderations", "metered"),
    (":embedContent", "metered"),
    (":batchEmbedContents", "metered"),
    # Cohere, Voyage.
    ("/v1/chat", "metered"),
    ("/v2/chat", "metered"),
    ("/v1/embed", "metered"),
    ("/v2/embed", "metered"),
    ("/rerank", "metered"),
)

_PATTERNS: tuple[tuple[re.Pattern[str], WireFormat], ...] = (
    # Anthropic's models on Vertex AI and Bedrock: the same body, another path.
    (re.compile(r"/publishers/anthropic/models/[^/]+:(?:streamRawPredict|rawPredict)$"), "anthropic_messages"),
    (re.compile(r"/model/[^/]*anthropic\.[^/]+/invoke(?:-with-response-stream)?$"), "anthropic_messages"),
    (re.compile(r"/model/[^/]+/converse(?:-stream)?$"), "bedrock_converse"),
    (re.compile(r"/model/[^/]+/invoke(?:-with-response-stream)?$"), "metered"),
)

_MODELS = (
    re.compile(r"/(?:models|tunedModels)/([^/]+):\w+$"),
    re.compile(r"/model/([^/]+)/(?:invoke|converse)"),
    re.compile(r"/(?:deployments|engines)/([^/]+)/"),
)
_STREAMING = (":streamGenerateContent", ":streamRawPredict", "/invoke-with-response-stream", "/converse-stream")
_DIALECTS = frozenset(get_args(Dialect))


@lru_cache(maxsize=1024)
def detect_format(method: str, path: str) -> WireFormat:
    """The wire format of a request; `unknown` for everything this program does not read.

    `path` may carry a prefix, a query and a fragment."""
    if method.upper() != "POST":
        return "unknown"
    plain = _plain(path)
    for suffix, wire_format in _SUFFIXES:
        if plain.endswith(suffix):
            return wire_format
    for pattern, wire_format in _PATTERNS:
        if pattern.search(plain):
            return wire_format
    return "unknown"


def dialect_of(wire_format: WireFormat) -> Dialect:
    """The label that a recording carries for a wire format (CONTRACT §0)."""
    return wire_format if wire_format in _DIALECTS else "unknown"  # type: ignore[return-value]


def model_in_path(path: str) -> str | None:
    """The model that the path names, where the body does not have to: Gemini, Vertex AI, Bedrock, and Azure's
    deployments, whose names are the user's own."""
    plain = _plain(path)
    for pattern in _MODELS:
        found = pattern.search(plain)
        if found is not None:
            return unquote(found[1])
    return None


def is_streaming_path(path: str) -> bool:
    """Whether the path itself asks for a stream."""
    return _plain(path).endswith(_STREAMING)


def _plain(path: str) -> str:
    return path.split("?", 1)[0].split("#", 1)[0].rstrip("/")
