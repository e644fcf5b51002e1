"""Ollama's token counts → the inclusive rule of CONTRACT §3. The only place where they are interpreted.

The provider's rule: `prompt_eval_count` is the input and `eval_count` the output, thinking included; neither is said in
an answer that used nothing. They stand in the answer itself, not in an object of their own.
"""

from __future__ import annotations

from typing import Any

from lunaroute.dialects.facts import Usage
from lunaroute.dialects.loose import as_int

_FIELDS = (
    "prompt_eval_count",
    "eval_count",
    "prompt_eval_duration",
    "eval_duration",
    "load_duration",
    "total_duration",
)


def usage_of(body: dict[str, Any]) -> Usage | None:
    """Usage out of an answer; None where it counts nothing."""
    input_tokens, output_tokens = as_int(body.get("prompt_eval_count")), as_int(body.get("eval_count"))
    if input_tokens is None and output_tokens is None:
        return None
    raw = {name: body[name] for name in _FIELDS if name in body}
    return Usage(input_tokens=input_tokens, output_tokens=output_tokens, raw=raw)
