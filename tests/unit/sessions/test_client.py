"""Client detection, on user agents as real clients sent them."""

from __future__ import annotations

import json
import re

import pytest

from lunaroute.capture.records import join_headers
from lunaroute.sessions import Client, header_texts, identify_client
from tests.corpus import corpus_dir

_ASKS_A_MODEL = re.compile("messages|completions|responses|enerateContent")


@pytest.mark.parametrize(
    ("user_agent", "name", "version"),
    [
        ("claude-cli/2.1.330 (external, sdk-cli)", "claude-code", "2.1.330"),
        ("claude-cli/2.1.330 (external, sdk-py, agent-sdk/0.2.187)", "claude-agent-sdk", "0.2.187"),
        ("codex_exec/0.169.0 (Debian 12.0.0; x86_64) dumb (codex_exec; 0.169.0)", "codex", "0.169.0"),
        ("codex_cli_rs/0.120.0 (Mac OS 15.1; arm64)", "codex", "0.120.0"),
        ("opencode/1.18.33 ai-sdk/provider-utils/4.0.23 runtime/bun/1.3.14", "opencode", "1.18.33"),
        ("Anthropic/Python 2.12.0", "anthropic-python", "2.12.0"),
        ("OpenAI/Python 3.54.0", "openai-python", "3.54.0"),
        ("AsyncOpenAI/Python 2.20.0", "openai-python", "2.20.0"),
        ("OpenAI/JS 6.49.0", "openai-node", "6.49.0"),
        ("Agents/Python 0.20.0", "openai-agents-python", "0.20.0"),
        ("ai/7.0.173 ai-sdk-provider-utils/5.0.81 node.js/24", "ai-sdk", "7.0.173"),
        ("litellm/1.106.2", "litellm", "1.106.2"),
        ("QwenCode/0.24.4 (linux; x64)", "qwen-code", "0.24.4"),
        ("GeminiCLI-tui/0.61.0/gemini-2.5-pro (linux; x64; terminal)", "gemini-cli", "0.61.0"),
        ("pi (linux 6.18.44; x64)", "pi", None),
        ("SomethingNew/4.2", "somethingnew", "4.2"),
        ("(no product)", None, None),
    ],
)
def test_a_user_agent_tells_client_and_version(user_agent: str, name: str | None, version: str | None) -> None:
    headers = header_texts(join_headers([(b"User-Agent", user_agent.encode())]))
    assert identify_client(headers) == Client(name, version)


def test_without_a_user_agent_nothing_is_guessed() -> None:
    assert identify_client(header_texts(join_headers([(b"accept", b"*/*")]))) == Client(None, None)


def test_every_recorded_client_gets_one_name_and_a_version() -> None:
    """All captured requests of one client agree, and only pi's user agent has no version in it."""
    names: dict[str, set[str | None]] = {}
    for path in sorted((corpus_dir() / "clients").glob("*/*/*.json")):
        captured = json.loads(path.read_bytes())
        if captured.get("method") != "POST" or not _ASKS_A_MODEL.search(captured["path"]):
            continue
        fields = [(name.encode(), value.encode("latin-1", "replace")) for name, value in captured["headers"]]
        client = identify_client(header_texts(join_headers(fields)))
        names.setdefault(captured["client"], set()).add(client.name)
        assert client.version is not None or captured["client"] == "pi", captured["headers"]
    assert names["claude"] == {"claude-code"}
    assert names["codex"] == {"codex"}
    assert names["opencode"] == {"opencode"}
    assert all(None not in found for found in names.values())
