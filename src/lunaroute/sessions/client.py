"""Which program sent a request: request headers in, its name and version out.

Read from the user agents of real clients (WIRE A1). A product this table does not know is named by its own
lower-cased product token, so that a new client shows up under its own name instead of under none.
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

from .headers import HeaderTexts


class Client(msgspec.Struct, frozen=True):
    name: str | None
    version: str | None


_NAMES = {
    "claude-cli": "claude-code",
    "codex_cli_rs": "codex",
    "codex_exec": "codex",
    "codex_vscode": "codex",
    "codex-tui": "codex",
    "anthropic/python": "anthropic-python",
    "asyncanthropic/python": "anthropic-python",
    "anthropic/js": "anthropic-node",
    "openai/python": "openai-python",
    "asyncopenai/python": "openai-python",
    "openai/js": "openai-node",
    "agents/python": "openai-agents-python",
    "agents/javascript": "openai-agents-js",
    "ai": "ai-sdk",
    "ai-sdk": "ai-sdk",
    "qwencode": "qwen-code",
    "geminicli": "gemini-cli",
    "geminicli-tui": "gemini-cli",
    "google-genai-sdk": "google-genai",
}
"""Lower-case product (with `/language` where the user agent puts the version behind it) → our name."""

_CODING_AGENTS = frozenset({"claude-code", "claude-agent-sdk", "codex", "opencode", "qwen-code", "gemini-cli", "pi"})
"""Clients whose own work always has tools; what they ask without them is on the side."""

_FRAGILE = frozenset({"gemini-cli", "ai-sdk"})
"""Clients that do not try again when an answer breaks off (measured, WIRE A3.6 and A3.8); SDKs do not either, but say
so by counting."""

_AGENT_SDK = re.compile(r"\bagent-sdk/([\w.+-]+)")
_LANGUAGE_FORM = re.compile(r"([A-Za-z][\w.-]*/(?:Python|JS|JavaScript|Go|Java|Ruby|PHP|Kotlin|\.NET)) v?(\d[\w.+-]*)")
"""`OpenAI/Python 2.54.0`: the SDK generator's own form, version after a space."""
_PRODUCT_FORM = re.compile(r"([A-Za-z][\w.-]*)(?:/v?([\w.+-]+))?")
"""`name/version …`, RFC 9110 §10.1.5; the version may be missing."""


def identify_client(headers: HeaderTexts) -> Client:
    """The client's name and version; None for what its headers do not tell."""
    user_agent = headers.get("user-agent")
    return Client(headers.get("originator"), None) if user_agent is None else client_of(user_agent)


@lru_cache(maxsize=256)
def client_of(user_agent: str) -> Client:
    """The same by the user agent alone."""
    sdk = _AGENT_SDK.search(user_agent) if user_agent.startswith("claude-cli/") else None
    if sdk is not None:
        # The agent SDKs drive a bundled claude-cli; what the user runs, and its version, is the SDK.
        return Client("claude-agent-sdk", sdk[1])
    match = _LANGUAGE_FORM.match(user_agent) or _PRODUCT_FORM.match(user_agent)
    if match is None:
        return Client(None, None)
    product = match[1].lower()
    return Client(_NAMES.get(product, product), match[2])


def is_coding_agent(name: str | None) -> bool:
    """Whether this client works with tools, always."""
    return name in _CODING_AGENTS


def counts_retries(headers: HeaderTexts) -> bool:
    """Whether `x-stainless-retry-count: 0` means that this is no retry: so it does where an SDK sends its own requests.
    Agents that are built on one repeat requests by themselves, and the count stays 0."""
    if headers.get("x-stainless-retry-count") is None:
        return False
    return _LANGUAGE_FORM.match(headers.get("user-agent") or "") is not None


def retry_count_of(headers: HeaderTexts) -> int:
    """How many times an SDK says that it sent this request before; 0 also where it says nothing."""
    count = headers.get("x-stainless-retry-count") or "0"
    return int(count) if count.isascii() and count.isdigit() and len(count) < 10 else 0


def gives_up_when_broken_off(name: str | None) -> bool:
    """Whether the client ends when an answer breaks off in the middle: the same request again is then another run's."""
    return name is not None and (name in _FRAGILE or name.startswith("ai-sdk-"))
