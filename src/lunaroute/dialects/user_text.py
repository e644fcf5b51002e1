"""Which text of a request the user wrote.

Coding agents put context of their own into user messages, as whole blocks or in front of the user's words:
`<system-reminder>` (Claude Code, Qwen Code), `<environment_context>` and `<user_instructions>` (Codex),
`<session_context>` (gemini-cli). It is not what the user said, so it is left out of `request_text`; `request_json`
keeps all.
"""

from __future__ import annotations

import re

_TAGS = ("system-reminder", "environment_context", "user_instructions", "session_context")
_OPENINGS = tuple(f"<{tag}>" for tag in _TAGS)

# An opening without a closing tag takes the rest: the block was cut by the client.
_LEADING = re.compile(rf"\A(?:\s*<({'|'.join(_TAGS)})>(?s:.*?)(?:</\1>\s*|\Z))+")
_TRAILING = re.compile(r"\s*<system-reminder>(?:(?!<system-reminder>)(?s:.))*</system-reminder>\s*\Z")


def user_text(texts: list[str]) -> str:
    """The user's own words out of the text blocks of user messages, joined by newlines."""
    own = [_own_text(text) for text in texts]
    return "\n".join([text for text in own if text])


def _own_text(text: str) -> str:
    if text.lstrip().startswith(_OPENINGS):
        text = _LEADING.sub("", text)
    while text.rstrip().endswith("</system-reminder>"):
        shorter = _TRAILING.sub("", text)
        if shorter == text:
            break
        text = shorter
    return text
