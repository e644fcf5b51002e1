"""Tasks for real clients, with cues that make the simulated provider use the client's own tools."""

from __future__ import annotations

ANSWER = "Both files are there now, as asked."
COMMAND = "cat notes.txt; echo made > made.txt"
"""Shows the project's note and leaves a file."""
MADE = {"made.txt": "made\n"}


def task(*rounds: str, answer: str = ANSWER) -> str:
    """A prompt. A round is what a `call` cue has after its colon."""
    return " ".join(["See to the notes.", *(f"[[call: {one}]]" for one in rounds), f"[[answer: {answer}]]"])
