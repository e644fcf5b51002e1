"""How a tool call went: its result in; success, exit code, and what tells so out. Never guessed.

What a client says in a field of its own is certain. A form of text that a client puts around a command's output is
likely: the output of another program could look like it. Words like "error" in an output prove nothing and are not
looked at.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from lunaroute.dialects.facts import ToolResult

Confidence = Literal["certain", "likely"]


class Verdict(msgspec.Struct, frozen=True):
    success: bool | None = None
    """None = nobody said."""
    exit_code: int | None = None
    evidence: str | None = None
    """The field or form of text that tells: `is_error`, `exit_code`, `metadata.exit_code`, `exit_code_line`."""
    confidence: Confidence | None = None


_UNKNOWN = Verdict()
_HEADER_CHARS = 400
_FOOTER_CHARS = 400

_CODEX_LINE = re.compile(r"^(?:Process exited with code|Exit code:) (-?\d{1,10})$", re.MULTILINE)
"""In the header that Codex puts above a command's output."""
_SHELL_TOOL = re.compile(r"\A(?:<untrusted_context>\n)?(?:Command|Output): ")
_SHELL_LINE = re.compile(r"^Exit Code: (-?\d{1,10})$", re.MULTILINE)
"""In the footer that Gemini CLI and Qwen Code put below."""
_CLAUDE_LINE = re.compile(r"\AExit code (-?\d{1,10})$", re.MULTILINE)
"""The first line of a command's output that Claude Code marked as an error."""


class _Metadata(msgspec.Struct):
    exit_code: int


class _Report(msgspec.Struct):
    """Codex's older form: the output and what is known about it, as one JSON object."""

    metadata: _Metadata


_report_decoder = msgspec.json.Decoder(_Report)


def verdict_of(result: ToolResult) -> Verdict:
    """How it went, as far as anyone said."""
    if result.exit_code is not None:
        return Verdict(result.exit_code == 0 and result.is_error is not True, result.exit_code, "exit_code", "certain")
    if result.is_error is True:
        match = _CLAUDE_LINE.match(result.output_text)
        return Verdict(False, None if match is None else int(match[1]), "is_error", "certain")
    in_text = _told_by_text(result.output_text)
    if in_text.exit_code is None and result.is_error is False:
        return Verdict(True, None, "is_error", "certain")
    return in_text


def _told_by_text(text: str) -> Verdict:
    if text.startswith("{"):
        code = _reported(text)
        return _UNKNOWN if code is None else Verdict(code == 0, code, "metadata.exit_code", "likely")
    header, separator, _ = text[:_HEADER_CHARS].partition("\nOutput:")
    match = _CODEX_LINE.search(header) if separator else None
    if match is None and _SHELL_TOOL.match(text):
        match = _SHELL_LINE.search(text[-_FOOTER_CHARS:])
    return _UNKNOWN if match is None else Verdict(int(match[1]) == 0, int(match[1]), "exit_code_line", "likely")


def _reported(text: str) -> int | None:
    try:
        return _report_decoder.decode(text).metadata.exit_code
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
