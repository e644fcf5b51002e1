"""How a tool call went is told by the client or proven by an exit code in a form of its own, and never guessed."""

from __future__ import annotations

import pytest

from lunaroute.dialects.facts import ToolResult
from lunaroute.sessions import Verdict, verdict_of

CODEX = "Chunk ID: 1\nWall time: 0.1 seconds\nProcess exited with code {}\nOriginal token count: 5\nOutput:\nfine"
QWEN = "Command: ls\nDirectory: (root)\nOutput: {}\nError: (none)\nExit Code: {}\nSignal: (none)\nProcess Group PGID: 1"
GEMINI = "<untrusted_context>\nOutput: x\nExit Code: {}\nProcess Group PGID: 12494\n</untrusted_context>"
LINE, JSON = "exit_code_line", "metadata.exit_code"


def result(text: str = "out", *, is_error: bool | None = None, exit_code: int | None = None) -> ToolResult:
    size = len(text)
    return ToolResult(
        tool_call_id="c", output_text=text, output_size_bytes=size, is_error=is_error, exit_code=exit_code
    )


@pytest.mark.parametrize(
    ("told", "verdict"),
    [
        (result(is_error=True), Verdict(False, None, "is_error", "certain")),
        (result("error: everything failed", is_error=False), Verdict(True, None, "is_error", "certain")),
        (result("Exit code 2\nno such file", is_error=True), Verdict(False, 2, "is_error", "certain")),
        (result("Exit code 2\nsays a file", is_error=False), Verdict(True, None, "is_error", "certain")),
        (result("Exit code 2\nsays a file"), Verdict()),
        (result(exit_code=0), Verdict(True, 0, "exit_code", "certain")),
        (result(exit_code=1), Verdict(False, 1, "exit_code", "certain")),
        (result(CODEX.format(0)), Verdict(True, 0, LINE, "likely")),
        (result(CODEX.format(2)), Verdict(False, 2, LINE, "likely")),
        (result(CODEX.format(-1)), Verdict(False, -1, LINE, "likely")),
        (result("Exit code: 1\nWall time: 1 s\nOutput:\n"), Verdict(False, 1, LINE, "likely")),
        (result("Output of my own tool:\nProcess exited with code 1"), Verdict()),
        (result(QWEN.format("x", 0)), Verdict(True, 0, LINE, "likely")),
        (result(QWEN.format("x" * 5000, 1)), Verdict(False, 1, LINE, "likely")),
        (result(GEMINI.format(127), is_error=False), Verdict(False, 127, LINE, "likely")),
        (result("see:\nExit Code: 1\nSignal: (none)"), Verdict()),
        (result('{"output":"x","metadata":{"exit_code":0,"duration_seconds":0.1}}'), Verdict(True, 0, JSON, "likely")),
        (result('{"output":"x","metadata":{"exit_code":127}}'), Verdict(False, 127, JSON, "likely")),
        (result('{"error":"x"}'), Verdict()),
        (result('{"metadata":{"exit_code":"1"}}'), Verdict()),
        (result("{" * 5000), Verdict()),
        (result("Error: no such file"), Verdict()),
    ],
)
def test_verdicts(told: ToolResult, verdict: Verdict) -> None:
    assert verdict_of(told) == verdict
