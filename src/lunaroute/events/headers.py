"""Which header fields are written into events: lists of what is worth asking about. Never a credential.

The complete header is in the spool only. Credentials are already replaced before anything is recorded; what is on
these lists could still carry one by its name, so names that say so are left out once more.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from lunaroute.sessions.headers import HeaderTexts

_REQUEST = frozenset(
    {
        "accept",
        "accept-encoding",
        "content-encoding",
        "content-length",
        "content-type",
        "conversation-id",
        "conversation_id",
        "http-referer",
        "idempotency-key",
        "originator",
        "session-id",
        "session_id",
        "thread-id",
        "traceparent",
        "tracestate",
        "user-agent",
        "version",
        "x-app",
        "x-client-request-id",
        "x-correlation-id",
        "x-goog-api-client",
        "x-goog-user-project",
        "x-parent-session-id",
        "x-request-id",
        "x-session-affinity",
        "x-session-id",
        "x-session-tag",
        "x-title",
        "x-trace-id",
    }
)
_REQUEST_PREFIXES = ("anthropic-", "openai-", "x-stainless-", "x-claude-code-", "x-codex-", "x-openai-", "x-litellm-")

_RESPONSE = frozenset(
    {
        "apim-request-id",
        "cf-cache-status",
        "cf-ray",
        "date",
        "location",
        "request-id",
        "retry-after",
        "retry-after-ms",
        "server",
        "server-timing",
        "via",
        "x-amzn-requestid",
        "x-cloud-trace-context",
        "x-envoy-upstream-service-time",
        "x-generation-id",
        "x-goog-request-id",
        "x-models-etag",
        "x-reasoning-included",
        "x-request-id",
        "x-should-retry",
    }
)
_RESPONSE_PREFIXES = (
    "anthropic-",
    "content-",
    "openai-",
    "x-codex-",
    "x-gemini-",
    "x-openai-",
    "x-openrouter-",
    "x-ratelimit-",
    "x-ms-",
    "x-groq-",
)
_SECRET = ("authorization", "cookie", "secret", "password", "api-key", "apikey", "access-token", "auth-token")

_RATE_LIMITS = ("anthropic-ratelimit-", "anthropic-priority-", "x-ratelimit-", "retry-after")
_PROVIDER_REQUEST_IDS = ("request-id", "x-request-id", "x-goog-request-id", "apim-request-id", "x-amzn-requestid")
_API_VERSIONS = ("anthropic-version", "openai-version", "x-goog-api-version")


def request_fields(headers: HeaderTexts) -> list[tuple[str, str]]:
    """The request's fields worth keeping, order and case as sent."""
    return _select(headers, _is_kept_of_request)


def response_fields(headers: HeaderTexts) -> list[tuple[str, str]]:
    """The response's fields worth keeping, order and case as sent."""
    return _select(headers, _is_kept_of_response)


def rate_limits(headers: HeaderTexts) -> dict[str, str] | None:
    """What the provider said about its limits, by lower-case field name; None where it said nothing."""
    found = {lower: value for lower, _, value in headers.fields if lower.startswith(_RATE_LIMITS)}
    return found or None


def provider_request_id(headers: HeaderTexts) -> str | None:
    """The provider's own name for the request, for its support."""
    return _first(headers, _PROVIDER_REQUEST_IDS)


def api_version(headers: HeaderTexts) -> str | None:
    return _first(headers, _API_VERSIONS)


def _first(headers: HeaderTexts, names: tuple[str, ...]) -> str | None:
    return next((value for name in names if (value := headers.get(name))), None)


def _select(headers: HeaderTexts, is_kept: Callable[[str], bool]) -> list[tuple[str, str]]:
    return [(name, value) for lower, name, value in headers.fields if is_kept(lower)]


@lru_cache(maxsize=1024)
def _is_kept_of_request(name: str) -> bool:
    return (name in _REQUEST or name.startswith(_REQUEST_PREFIXES)) and not _names_a_secret(name)


@lru_cache(maxsize=1024)
def _is_kept_of_response(name: str) -> bool:
    return (name in _RESPONSE or name.startswith(_RESPONSE_PREFIXES)) and not _names_a_secret(name)


def _names_a_secret(name: str) -> bool:
    return any(word in name for word in _SECRET)
