"""What the two OpenAI dialects share: model aliases, error bodies, headers, obfuscation padding."""

from __future__ import annotations

import hashlib
from typing import Any

from lunaroute.simulator.ids import IdMint
from lunaroute.simulator.turn import Prompt

_DATED = {
    "gpt-4o": "gpt-4o-2024-08-06",
    "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
    "gpt-4.1": "gpt-4.1-2025-04-14",
    "gpt-4.1-mini": "gpt-4.1-mini-2025-04-14",
    "gpt-5": "gpt-5-2025-08-07",
    "gpt-5-mini": "gpt-5-mini-2025-08-07",
    "o4-mini": "o4-mini-2025-04-16",
}
_ERRORS: dict[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", None, "We could not parse the JSON body of your request."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    403: ("invalid_request_error", "unsupported_country_region_territory", "Not permitted."),
    404: ("invalid_request_error", "model_not_found", "The model does not exist or you do not have access to it."),
    413: ("invalid_request_error", None, "Request body is too large."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached for requests per min. Please try again in 1s."),
    500: ("server_error", None, "The server had an error while processing your request. Sorry about that!"),
    529: ("server_error", None, "The engine is currently overloaded, please try again later."),
}


def dated(model: str) -> str:
    """The snapshot a model alias stands for; replies name it, requests rarely do."""
    return _DATED.get(model, model)


def is_reasoning(model: str) -> bool:
    return model.startswith(("o1", "o3", "o4", "gpt-5"))


def obfuscation(prompt: Prompt, options: dict[str, Any], piece: str, number: int) -> dict[str, str]:
    """The padding field that hides token lengths from eavesdroppers; present unless switched off."""
    if options.get("include_obfuscation") is False:
        return {}
    digest = hashlib.blake2b(f"{prompt.model}{number}".encode()).hexdigest()
    return {"obfuscation": digest[: max(2, 16 - len(piece))]}


def mint_request_id(ids: IdMint) -> str:
    return ids.hex("req_", 32)


def stream_type(body: dict[str, Any]) -> str:
    return "text/event-stream; charset=utf-8"


def error(status: int, message: str | None, code: str | None, request_id: str) -> dict[str, Any]:
    kind, default_code, default = _ERRORS.get(
        status, ("invalid_request_error" if status < 500 else "server_error", None, f"Simulated {status}")
    )
    said = {"message": message or default, "type": kind, "param": None}
    return {"error": said | {"code": code or (default_code if message is None else None)}}


def headers(request_id: str, processing_ms: int, count: int) -> list[tuple[str, str]]:
    return [
        ("openai-organization", "simulated"),
        ("openai-processing-ms", str(processing_ms)),
        ("openai-version", "2020-10-01"),
        ("x-ratelimit-limit-requests", "30000"),
        ("x-ratelimit-limit-tokens", "150000000"),
        ("x-ratelimit-remaining-requests", str(30000 - count % 30000)),
        ("x-ratelimit-remaining-tokens", str(150_000_000 - count * 900 % 150_000_000)),
        ("x-ratelimit-reset-requests", "2ms"),
        ("x-ratelimit-reset-tokens", "0s"),
        ("x-request-id", request_id),
    ]
