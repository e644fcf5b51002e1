"""The scripted model: plays a coding agent's side of a conversation.

In: a `Prompt`. Out: a `Turn`: look around → read two files at once → edit → run the tests → (edit and test
again while they fail) → report. Invariant: the same prompt gives the same turn, ids aside. A client that
offers none of the known tools gets one round with its own (two at once when it has two), with arguments
that fit their schemas. Where the user's message has cues (`cues`), they are followed instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from lunaroute.simulator.cues import Cues, fitted, parse_cues
from lunaroute.simulator.tokens import BYTES_PER_TOKEN, output_token_count, token_count
from lunaroute.simulator.turn import Prompt, RequestRefusedError, Tool, ToolCall, Turn

_FILLER = "The change keeps the public behaviour and touches one place only. "


class _Scene(msgspec.Struct, frozen=True, kw_only=True):
    thinking: str
    text: str
    calls: tuple[tuple[str, dict[str, Any]], ...]
    """(tool, arguments) of calls made at once; a scene uses one tool."""


_PLOT = (
    _Scene(
        thinking="The request names a symptom, not a place. I should find where the value is computed before "
        "I form an opinion, so a search over the source tree comes first.",
        text="Let me find where this is computed.",
        calls=(("grep", {"pattern": "def .*total", "path": "src"}),),
    ),
    _Scene(
        thinking="Two hits matter: the function itself and the test that covers it. Reading both at once is "
        "cheaper than one after the other, and the test tells me what was intended.",
        text="I'll read the function and its test side by side.",
        calls=(("read_file", {"path": "src/shop/cart.py"}), ("read_file", {"path": "tests/test_cart.py"})),
    ),
    _Scene(
        thinking="The discount is applied to each line and then once more to the sum. The test expects one "
        "application on the sum. The smallest correct change is to drop it from the loop.",
        text="The discount is applied twice: per line and again on the sum. I'll remove the one in the loop.",
        calls=(
            (
                "edit_file",
                {
                    "path": "src/shop/cart.py",
                    "old": "        total += line.price * line.count * (1 - discount)\n",
                    "new": "        total += line.price * line.count\n",
                },
            ),
        ),
    ),
    _Scene(
        thinking="",
        text="Now the tests.",
        calls=(("run_tests", {"target": "tests/test_cart.py"}),),
    ),
    _Scene(
        thinking="One test still fails: rounding. Prices are floats, so the sum needs rounding to cents exactly "
        "once, at the end, not at each line.",
        text="The logic is right now; the remaining failure is rounding. I'll round once, at the end.",
        calls=(
            (
                "edit_file",
                {
                    "path": "src/shop/cart.py",
                    "old": "    return total * (1 - discount)\n",
                    "new": "    return round(total * (1 - discount), 2)\n",
                },
            ),
        ),
    ),
    _Scene(
        thinking="",
        text="And the tests again.",
        calls=(("run_tests", {"target": "tests"}),),
    ),
)


def play(prompt: Prompt, mint_call_id: Callable[[], str], answer_bytes: int | None) -> Turn:
    """The model's next turn. `answer_bytes` sets the size of its text."""
    cues = parse_cues(prompt.user_text)
    scene = _cued_scene(prompt, cues) if cues else _next_scene(prompt) or _final_scene(prompt)
    tools = {tool.name: tool for tool in prompt.tools}
    turn = Turn(
        thinking=scene.thinking if prompt.is_thinking else "",
        text=scene.text if answer_bytes is None else _sized(scene.text, answer_bytes),
        calls=tuple(_call(mint_call_id(), tools[name], arguments) for name, arguments in scene.calls),
    )
    return _limited(turn, prompt.max_output_tokens)


def _call(call_id: str, tool: Tool, arguments: dict[str, Any]) -> ToolCall:
    text = str(arguments.get("input", "")) if tool.is_freeform else msgspec.json.encode(arguments).decode()
    return ToolCall(id=call_id, name=tool.name, arguments=text, namespace=tool.namespace, is_freeform=tool.is_freeform)


def _cued_scene(prompt: Prompt, cues: Cues) -> _Scene:
    """What the cues ask for now. Without any tools (the client asks for a title, say) only the answer is left."""
    tools = {tool.name: tool for tool in prompt.tools}
    if prompt.round_count >= len(cues.rounds) or not tools:
        final = _final_scene(prompt)
        return final if cues.answer is None else msgspec.structs.replace(final, text=cues.answer)
    calls = cues.rounds[prompt.round_count]
    missing = [call.tool for call in calls if call.tool not in tools]
    if missing:
        raise RequestRefusedError(400, f"call cue: {missing[0]} is none of the tools offered: {', '.join(tools)}")
    return _Scene(
        thinking="I was told what to do, so there is nothing to weigh.",
        text="I'll do as I was told.",
        calls=tuple((call.tool, fitted(call, tools[call.tool])) for call in calls),
    )


def _next_scene(prompt: Prompt) -> _Scene | None:
    """The scene in which tools are called next; None when it is time for the answer."""
    offered = {tool.name for tool in prompt.tools}
    if prompt.forced_tool is not None and prompt.round_count == 0:
        return _improvised([tool for tool in prompt.tools if tool.name == prompt.forced_tool])
    scenes = [scene for scene in _PLOT if scene.calls[0][0] in offered]
    if not scenes:
        return _improvised(list(prompt.tools[:2])) if prompt.round_count == 0 else None
    if prompt.round_count >= len(scenes):
        return None
    just_tested = prompt.round_count > 0 and scenes[prompt.round_count - 1].calls[0][0] == "run_tests"
    return None if just_tested and "FAILED" not in prompt.last_result else scenes[prompt.round_count]


def _improvised(tools: list[Tool]) -> _Scene | None:
    """A scene with tools the plot does not know."""
    if not tools:
        return None
    return _Scene(
        thinking="A tool fits this request; its result decides what to say.",
        text="I'll look that up.",
        calls=tuple((tool.name, sample_value(tool.schema)) for tool in tools),
    )


def _final_scene(prompt: Prompt) -> _Scene:
    subject = " ".join(prompt.user_text.split())[:80] or "the request"
    if prompt.round_count == 0:
        return _Scene(
            thinking="Nothing to look up here; a direct answer will do.",
            text=f"On “{subject}”: this is the simulated provider; the answer is scripted, its shape is real.",
            calls=(),
        )
    return _Scene(
        thinking="The results are in and they agree. What is left is a short report.",
        text=f"Done with “{subject}”. The tools ran {prompt.round_count} times. The discount was applied "
        "twice, once per line and once on the sum; it is now applied once, and the sum is rounded to cents at the end. "
        "Nothing else was changed.",
        calls=(),
    )


def sample_value(schema: dict[str, Any]) -> Any:
    """A value that fits a JSON schema (its common keywords only)."""
    if schema.get("enum"):
        return schema["enum"][0]
    if "const" in schema:
        return schema["const"]
    kind = schema.get("type", "object" if "properties" in schema or not schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        properties = schema.get("properties") or {}
        return {name: sample_value(properties.get(name) or {}) for name in schema.get("required") or properties}
    if kind == "array":
        return [sample_value(schema.get("items") or {"type": "string"})]
    return {"integer": 7, "number": 2.5, "boolean": True, "null": None}.get(kind, "sample")


def _sized(text: str, size_bytes: int) -> str:
    """ASCII text of exactly `size_bytes`."""
    ascii_text = text.encode("ascii", "replace").decode() + " "
    return (ascii_text + _FILLER * (size_bytes // len(_FILLER) + 1))[:size_bytes]


def _limited(turn: Turn, max_output_tokens: int | None) -> Turn:
    """The turn as far as the client's output limit lets it come; calls that do not fit are never started."""
    if max_output_tokens is None or output_token_count(turn) <= max_output_tokens:
        return turn
    # Rounding up per part must not exceed the limit, so each part gets whole tokens only.
    thinking = _first_tokens(turn.thinking, max_output_tokens)
    text = _first_tokens(turn.text, max_output_tokens - token_count(thinking))
    return Turn(thinking=thinking, text=text, calls=(), is_cut_short=True)


def _first_tokens(text: str, tokens: int) -> str:
    return text.encode()[: tokens * BYTES_PER_TOKEN].decode(errors="ignore")
