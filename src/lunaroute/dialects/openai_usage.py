"""What OpenAI's two dialects, and those who imitate them, share about token counts.

OpenAI's rule is the inclusive rule already: cached tokens are inside the input, reasoning inside the output. Two
deviations are told by the provider's own total, and only by it (WIRE B, "not true of all compatibles"):

- reasoning beside the output (xAI): input + output + reasoning == total, and reasoning > 0;
- audio beside the input (Mistral): input + output + audio == total, and audio > 0.

Where the parts contradict each other otherwise, they are kept as reported.
"""

from __future__ import annotations

from typing import Any

from lunaroute.dialects.loose import as_dict, as_int


def first_count(*places: tuple[Any, str]) -> int | None:
    """The first count that is stated among (object, key) places."""
    for fields, key in places:
        count = as_int(as_dict(fields).get(key))
        if count is not None:
            return count
    return None


def with_outside_parts(
    input_tokens: int | None, output_tokens: int | None, thinking: int | None, audio: int | None, total: int | None
) -> tuple[int | None, int | None]:
    """(input, output) by the inclusive rule, see the module's docstring."""
    if input_tokens is None or output_tokens is None or total is None:
        return input_tokens, output_tokens
    outside = total - input_tokens - output_tokens
    if outside > 0 and outside == thinking:
        return input_tokens, output_tokens + outside
    if outside > 0 and outside == audio:
        return input_tokens + outside, output_tokens
    return input_tokens, output_tokens
