"""[pure] Which provider a request is for: path first, then what its headers name (DESIGN, "Routing").

A credential goes only to the provider that the request names: by `/{provider}/…`, by a path that only one
provider's API has, or, on shared paths, by the headers and the credential's own shape.
"""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

import msgspec

from .headers import Line


class Upstream(msgspec.Struct, frozen=True):
    """A provider's address."""

    name: str
    host: str
    port: int
    is_tls: bool
    base_path: str
    """Prefix of every path, without a slash at the end."""

    @property
    def host_header(self) -> bytes:
        default = 443 if self.is_tls else 80
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (host if self.port == default else f"{host}:{self.port}").encode()


def upstream_from_url(name: str, url: str) -> Upstream:
    """Raises ValueError when the URL is not http(s)://host[:port][/path]."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"upstream {name}: {url!r} is not an http(s) URL")
    is_tls = parts.scheme == "https"
    return Upstream(name, parts.hostname, parts.port or (443 if is_tls else 80), is_tls, parts.path.rstrip("/"))


class Route(msgspec.Struct, frozen=True):
    upstream: Upstream
    listener: str
    """The ingress surface: `anthropic`, `openai`, `google`, or the provider's name for a prefix route."""
    target: str
    """Path and query as the provider gets them."""
    path: str
    """The path of `target` before the upstream's base path, without query."""
    tags: list[str]
    """From `/s/<tag>/…`."""


_ANTHROPIC_PATHS = re.compile(r"/v1/(?:messages|complete)(?:/|$)")
_SHORT_ANTHROPIC_PATHS = re.compile(r"/messages(?:[/?]|$)")
"""The AI SDK (and opencode with it) reads ANTHROPIC_BASE_URL too, but takes it to end in `/v1`; Claude Code and
Anthropic's own SDKs take it not to. With the one value that the variable has, both shall arrive."""
_GOOGLE_PATHS = re.compile(
    r"/(?:v1beta1?|v1alpha)(?:/|$)|/v1/(?:models|tunedModels)/[^/]+:\w+$|/v1/(?:projects|publishers)/|/v1internal:|"
    r"/upload/v1beta(?:/|$)"
)
"""The Gemini API's; Vertex AI's and Code Assist's too, whose credentials must not reach anybody but Google."""
_OPENAI_PATHS = re.compile(
    r"(?:/v1)?/(?:chat/completions|responses|embeddings|completions|images|audio|moderations|realtime|"
    r"assistants|threads|vector_stores|uploads|fine_tuning|conversations|evals|containers|videos)(?:/|$)"
)
_TAG = re.compile(r"/s/([^/?]+)(/.*)$")


class Router:
    """Routes requests to the configured providers."""

    def __init__(self, upstreams: dict[str, str]) -> None:
        self.upstreams = {name: upstream_from_url(name, url) for name, url in upstreams.items()}

    def route(self, target: str, lines: list[Line]) -> Route | None:
        """None when no provider is configured for this request."""
        tags: list[str] = []
        while (tagged := _TAG.match(target)) is not None:
            tags.append(unquote(tagged[1]))
            target = tagged[2]
        first, slash, rest = target[1:].partition("/")
        prefixed = self.upstreams.get(first) if slash else None
        if prefixed is not None:
            return _route(prefixed, first, "/" + rest, tags)
        surface = self._surface(target.partition("?")[0], lines)
        upstream = self.upstreams.get(surface)
        if upstream is None:
            return None
        if surface == "anthropic" and _SHORT_ANTHROPIC_PATHS.match(target) and not upstream.base_path.endswith("/v1"):
            target = f"/v1{target}"
        return _route(upstream, surface, target, tags)

    def _surface(self, path: str, lines: list[Line]) -> str:
        if _ANTHROPIC_PATHS.match(path):
            return "anthropic"
        if _GOOGLE_PATHS.match(path):
            return "google"
        if _OPENAI_PATHS.match(path):
            return "openai"
        return _named_by_headers(lines)


def _route(upstream: Upstream, listener: str, target: str, tags: list[str]) -> Route:
    path = target.partition("?")[0]
    return Route(upstream, listener, upstream.base_path + target, path, tags)


def _named_by_headers(lines: list[Line]) -> str:
    """Shared paths (`/v1/models`, `/v1/files`) and unknown ones: whose headers are these?"""
    for line in lines:
        name = line.name
        if name.startswith(b"anthropic-") or name == b"x-api-key":
            return "anthropic"
        if name == b"x-goog-api-key":
            return "google"
        if name == b"authorization" and line.value[:14].lower() == b"bearer sk-ant-":
            return "anthropic"
        if name == b"user-agent" and line.value.startswith(b"claude-cli/"):
            return "anthropic"
    return "openai"
