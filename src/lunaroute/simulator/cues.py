"""Cues: what the newest user message tells the scripted model to do, instead of its own plot.

In: `[[call: NAME argument=value …]]`, one round of tool calls each, in order; several calls at once are separated by
`|`. `[[answer: TEXT]]` is the last text, word for word. Values are quoted as in a shell; one that the tool's schema
wants as something other than a string is JSON. Cues for somebody else may be nested in a value (a sub-agent's task).
Out: the rounds and the answer. Invariant: brackets are matched, so a cue ends at its own `]]`.

Real clients have tools of their own names and a real shell behind them, so what they are made to do must be said; the
improvised plot would call any tool with any arguments.
"""

from __future__ import annotations

import re
import shlex
from typing import Any

import msgspec

from lunaroute.simulator.turn import RequestRefusedError, Tool

_BRACKET = re.compile(r"\[\[|\]\]")
_VALUE_START = re.compile(r"([\w.-]+)=(.*)", re.DOTALL)


class CuedCall(msgspec.Struct, frozen=True, kw_only=True):
    """One tool call to make."""

    tool: str
    arguments: dict[str, str]
    """As written; `fitted` makes of them what the tool's schema wants."""


class Cues(msgspec.Struct, frozen=True, kw_only=True):
    rounds: tuple[tuple[CuedCall, ...], ...] = ()
    answer: str | None = None

    def __bool__(self) -> bool:
        return bool(self.rounds) or self.answer is not None


def parse_cues(user_text: str) -> Cues:
    """Raises RequestRefusedError (400) for a cue that cannot be understood."""
    rounds, answer = [], None
    for content in _bracketed(user_text):
        kind, _, rest = content.partition(":")
        if kind.strip() == "call":
            rounds.append(tuple(_call(words) for words in _split(rest)))
        elif kind.strip() == "answer":
            answer = rest.strip()
    return Cues(rounds=tuple(rounds), answer=answer)


def fitted(call: CuedCall, tool: Tool) -> dict[str, Any]:
    """The arguments with the types that the tool's schema names."""
    properties = tool.schema.get("properties") or {}
    return {name: _typed(value, properties.get(name) or {}) for name, value in call.arguments.items()}


def _bracketed(text: str) -> list[str]:
    """The contents of the outermost `[[…]]`."""
    found, depth, start = [], 0, 0
    for bracket in _BRACKET.finditer(text):
        if bracket[0] == "[[":
            start = bracket.end() if depth == 0 else start
            depth += 1
        elif depth > 0:
            depth -= 1
            if depth == 0:
                found.append(text[start : bracket.start()])
    return found


def _split(text: str) -> list[list[str]]:
    """The words of each call. Raises RequestRefusedError for open quotes or nothing between two bars."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars="|")
    lexer.whitespace_split, lexer.commenters = True, ""
    calls: list[list[str]] = [[]]
    try:
        for word in lexer:
            if word == "|":
                calls.append([])
            else:
                calls[-1].append(word)
    except ValueError as error:
        raise RequestRefusedError(400, f"call cue {text!r}: {error}") from error
    if not all(calls):
        raise RequestRefusedError(400, f"call cue {text!r}: names no tool")
    return calls


def _call(words: list[str]) -> CuedCall:
    name, *given = words
    arguments = {}
    for word in given:
        named = _VALUE_START.fullmatch(word)
        if named is None:
            raise RequestRefusedError(400, f"call cue: {word!r} is not argument=value")
        arguments[named[1]] = named[2]
    return CuedCall(tool=name, arguments=arguments)


def _typed(value: str, schema: dict[str, Any]) -> Any:
    kind = schema.get("type", "string")
    kinds = kind if isinstance(kind, list) else [kind]
    if "string" in kinds:
        return value
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError as error:
        raise RequestRefusedError(
            400, f"call cue: {value!r} is not JSON, but its argument is of type {kind}"
        ) from error
