"""Which provider a request is for."""

from __future__ import annotations

import pytest

from lunaroute.config import DEFAULT_UPSTREAMS
from lunaroute.relay.headers import LineReader
from lunaroute.relay.routes import Router, upstream_from_url

ROUTER = Router(DEFAULT_UPSTREAMS)


def route(target: str, *raws: bytes) -> tuple[str, str, str, list[str]] | None:
    """(listener, provider, target at the provider, tags)"""
    reader = LineReader(lambda value: "fp", bytes)
    found = ROUTER.route(target, [reader.read(raw) for raw in raws])
    return None if found is None else (found.listener, found.upstream.name, found.target, found.tags)


@pytest.mark.parametrize(
    ("path", "surface"),
    [
        ("/v1/messages", "anthropic"),
        ("/v1/messages?beta=true", "anthropic"),
        ("/v1/messages/count_tokens", "anthropic"),
        ("/v1/messages/batches/x/results", "anthropic"),
        ("/v1/complete", "anthropic"),
        ("/v1/chat/completions", "openai"),
        ("/v1/responses", "openai"),
        ("/v1/responses/resp_1", "openai"),
        ("/responses", "openai"),
        ("/v1/embeddings", "openai"),
        ("/v1/completions", "openai"),
        ("/v1/images/generations", "openai"),
        ("/v1/audio/speech", "openai"),
        ("/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse", "google"),
        ("/v1beta/models", "google"),
        ("/v1/models/gemini-2.5-pro:generateContent", "google"),
        ("/upload/v1beta/files", "google"),
        ("/v1/projects/p/locations/l/publishers/google/models/gemini-2.5-pro:generateContent", "google"),
        ("/v1beta1/projects/p/locations/l/publishers/anthropic/models/claude:streamRawPredict", "google"),
        ("/v1/publishers/google/models/gemini-2.5-pro:streamGenerateContent", "google"),
        ("/v1internal:streamGenerateContent?alt=sse", "google"),
        ("/v1/models", "openai"),
        ("/v1/files", "openai"),
        ("/v1/messages_of_mine", "openai"),
        ("/anything", "openai"),
        ("/", "openai"),
    ],
)
def test_path_of_one_provider_s_api_leads_there(path: str, surface: str) -> None:
    assert route(path) == (surface, surface, path, [])


@pytest.mark.parametrize(
    ("line", "surface"),
    [
        (b"x-api-key: k", "anthropic"),
        (b"X-API-KEY: k", "anthropic"),
        (b"anthropic-version: 2023-06-01", "anthropic"),
        (b"anthropic-beta: x", "anthropic"),
        (b"Authorization: Bearer sk-ant-api03-x", "anthropic"),
        (b"authorization: bearer sk-ant-oat01-x", "anthropic"),
        (b"User-Agent: claude-cli/2.1.330 (external)", "anthropic"),
        (b"x-goog-api-key: k", "google"),
        (b"Authorization: Bearer sk-proj-x", "openai"),
        (b"User-Agent: openai-python", "openai"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/models", "/v1/models?limit=5", "/v1/files", "/api/hello", "/something/else"])
def test_shared_path_goes_to_whom_the_headers_name(path: str, line: bytes, surface: str) -> None:
    assert route(path, b"Accept: */*", line) == (surface, surface, path, [])


@pytest.mark.parametrize("path", ["/messages", "/messages?beta=true", "/messages/count_tokens"])
def test_anthropics_path_may_be_short_of_its_version(path: str) -> None:
    version = b"anthropic-version: 2023-06-01"
    assert route(path, version) == ("anthropic", "anthropic", f"/v1{path}", [])
    assert route(f"/s/nightly{path}", version) == ("anthropic", "anthropic", f"/v1{path}", ["nightly"])
    assert route(path) == ("openai", "openai", path, [])


def test_a_configured_version_is_not_doubled() -> None:
    router = Router({"anthropic": "https://gateway.example/v1"})
    lines = [LineReader(lambda value: "fp", bytes).read(b"anthropic-version: 2023-06-01")]
    for path, target in [("/messages", "/v1/messages"), ("/messages_of_mine", "/v1/messages_of_mine")]:
        found = router.route(path, lines)
        assert found is not None
        assert found.target == target


@pytest.mark.parametrize("line", [b"x-api-key: k", b"Authorization: Bearer sk-ant-x"])
def test_path_of_one_provider_wins_over_headers_of_another(line: bytes) -> None:
    assert route("/v1/chat/completions", line) == ("openai", "openai", "/v1/chat/completions", [])


@pytest.mark.parametrize(
    ("target", "provider", "upstream_target"),
    [
        ("/openrouter/v1/chat/completions", "openrouter", "/api/v1/chat/completions"),
        ("/groq/v1/models?x=/y", "groq", "/openai/v1/models?x=/y"),
        ("/anthropic/v1/messages?beta=true", "anthropic", "/v1/messages?beta=true"),
        ("/ollama/api/chat", "ollama", "/api/chat"),
        ("/openai/", "openai", "/"),
        ("/chatgpt/responses", "chatgpt", "/backend-api/codex/responses"),
    ],
)
def test_prefix_names_any_configured_provider(target: str, provider: str, upstream_target: str) -> None:
    assert route(target, b"x-api-key: k") == (provider, provider, upstream_target, [])


def test_prefix_alone_or_unknown_is_no_prefix() -> None:
    assert route("/openrouter") == ("openai", "openai", "/openrouter", [])
    assert route("/nobody/v1/messages") == ("openai", "openai", "/nobody/v1/messages", [])
    assert route("//evil.example/v1/x") == ("openai", "openai", "//evil.example/v1/x", [])


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/s/run7/v1/messages", ("anthropic", "anthropic", "/v1/messages", ["run7"])),
        ("/s/my%20run/openrouter/v1/models?a=b", ("openrouter", "openrouter", "/api/v1/models?a=b", ["my run"])),
        ("/s/run7", ("openai", "openai", "/s/run7", [])),
        ("/s//v1/messages", ("openai", "openai", "/s//v1/messages", [])),
        ("/s/x?key=1/v1/messages", ("openai", "openai", "/s/x?key=1/v1/messages", [])),
    ],
)
def test_session_tag_in_front_is_taken_off(target: str, expected: tuple[str, str, str, list[str]]) -> None:
    assert route(target) == expected


def test_request_for_a_provider_that_is_not_configured_goes_nowhere() -> None:
    router = Router({"anthropic": "https://api.anthropic.com"})
    assert router.route("/v1/chat/completions", []) is None
    assert router.route("/anything", []) is None


@pytest.mark.parametrize(
    ("url", "host", "port", "is_tls", "base", "header"),
    [
        ("https://api.anthropic.com", "api.anthropic.com", 443, True, "", b"api.anthropic.com"),
        ("https://h:8443/a/b/", "h", 8443, True, "/a/b", b"h:8443"),
        ("http://127.0.0.1:11434", "127.0.0.1", 11434, False, "", b"127.0.0.1:11434"),
        ("http://h:80", "h", 80, False, "", b"h"),
        ("http://[::1]:9", "::1", 9, False, "", b"[::1]:9"),
    ],
)
def test_upstream_is_read_from_its_url(url: str, host: str, port: int, is_tls: bool, base: str, header: bytes) -> None:
    upstream = upstream_from_url("x", url)
    assert (upstream.host, upstream.port, upstream.is_tls, upstream.base_path) == (host, port, is_tls, base)
    assert upstream.host_header == header


@pytest.mark.parametrize("url", ["", "api.openai.com", "ftp://h", "https://", "https://h/?q", "https://h/#f"])
def test_upstream_that_is_no_http_url_is_an_error_that_names_it(url: str) -> None:
    with pytest.raises(ValueError, match="upstream mine"):
        upstream_from_url("mine", url)
