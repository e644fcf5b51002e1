"""Names of OpenTelemetry's conventions for generative AI, in the two versions that receivers know.

`v1.41` is the last that was part of the general conventions; `latest` is the repository of their own that they moved
to: https://github.com/open-telemetry/semantic-conventions-genai
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

Version = Literal["v1.41", "latest"]


class SpanNames(msgspec.Struct, frozen=True, kw_only=True):
    """Attributes whose names differ."""

    cache_write_tokens: str


class MetricNames(msgspec.Struct, frozen=True, kw_only=True):
    """Instruments whose names differ; None: there is no such one."""

    duration: str
    time_to_first_chunk: str
    token_usage: str | None
    """A histogram of both kinds of tokens, told apart by TOKEN_TYPE."""
    operation_tokens: str | None
    """A histogram for each kind, with `{}` for it."""
    token_counter: str | None
    """A counter for each kind, with `{}` for it."""
    tool_duration: str | None


SPANS: Final[dict[Version, SpanNames]] = {
    "v1.41": SpanNames(cache_write_tokens="gen_ai.usage.cache_creation.input_tokens"),
    "latest": SpanNames(cache_write_tokens="gen_ai.usage.cache_write.input_tokens"),
}
METRICS: Final[dict[Version, MetricNames]] = {
    "v1.41": MetricNames(
        duration="gen_ai.client.operation.duration",
        time_to_first_chunk="gen_ai.client.operation.time_to_first_chunk",
        token_usage="gen_ai.client.token.usage",
        operation_tokens=None,
        token_counter=None,
        tool_duration=None,
    ),
    "latest": MetricNames(
        duration="gen_ai.client.inference.duration",
        time_to_first_chunk="gen_ai.client.inference.time_to_first_chunk",
        token_usage=None,
        operation_tokens="gen_ai.client.inference.operation.{}_tokens",
        token_counter="gen_ai.client.inference.usage.{}",
        tool_duration="gen_ai.execute_tool.duration",
    ),
}
TOKEN_TYPE: Final = "gen_ai.token.type"

_PROVIDERS: Final = {
    "google": "gcp.gemini",
    "vertex": "gcp.vertex_ai",
    "mistral": "mistral_ai",
    "xai": "x_ai",
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "chatgpt": "openai",
}


def provider_name(provider: str) -> str:
    """As `gen_ai.provider.name` has it; one that the conventions do not know keeps our name."""
    return _PROVIDERS.get(provider, provider)
