"""[pure] One invented session as events, every number from the dice that are handed in."""

from __future__ import annotations

import hashlib
import random
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any, Final

import msgspec

from lunaroute.capture.ids import derived_uuid7
from lunaroute.capture.records import Outcome
from lunaroute.events.figures import (
    Cost,
    FinalStats,
    Performance,
    StreamingStats,
    Tokens,
    ToolSummary,
    TotalTokens,
)
from lunaroute.events.types import (
    ClientInfo,
    Completed,
    Error,
    Event,
    Identity,
    Metadata,
    RequestRecorded,
    RequestStats,
    ResponseRecorded,
    ResponseStats,
    Started,
    ToolCallRecorded,
    ToolCallSummary,
)

_SYLLABLES = ("ba", "ce", "di", "fo", "gu", "ha", "ki", "lo", "mu", "ne", "pra", "qui", "ster", "tion", "ver", "zen")
WORDS: Final = tuple(a + b + c for a in _SYLLABLES for b in _SYLLABLES for c in ("", *_SYLLABLES))
"""4352 words; the first are said most."""
_WEIGHTS: Final = tuple(accumulate(1 / (rank + 5) for rank in range(len(WORDS))))
_MODELS: Final = (
    ("anthropic", "claude-opus-4-5", 5e-6, 25e-6, 3),
    ("anthropic", "claude-sonnet-4-5", 3e-6, 15e-6, 6),
    ("anthropic", "claude-haiku-4-5", 1e-6, 5e-6, 3),
    ("openai", "gpt-5", 1.25e-6, 10e-6, 3),
    ("openai", "gpt-4.1-mini", 0.4e-6, 1.6e-6, 1),
)
"""Provider, model, US dollars per input and output token, how often."""
_CLIENTS: Final = {"anthropic": ("claude-code", "claude-code", "anthropic-sdk"), "openai": ("codex", "openai-sdk")}
_TOOLS: Final = ("Bash", "Read", "Edit", "Grep", "Write", "Glob", "WebFetch", "Task", "mcp__github__search")
_TAGS: Final = ("nightly", "ci", "release", "experiment")
_FAILURES: Final[tuple[Outcome, ...]] = ("http_error", "client_cancelled", "upstream_cut")
_NO_COST = Cost(
    total_cost_usd=None,
    input_cost_usd=None,
    output_cost_usd=None,
    thinking_cost_usd=None,
    cache_read_cost_usd=None,
    cache_creation_cost_usd=None,
    cost_per_1k_tokens=None,
    by_model={},
    price_version=None,
    unpriced_requests=0,
)


class SeededSession:
    """`events`: a whole session, `exchange_count` exchanges from `start` on."""

    def __init__(self, name: str, start: datetime, exchange_count: int, dice: random.Random) -> None:
        self._name, self._start, self._now, self._dice = name, start, start, dice
        self.exchange_count = exchange_count
        self.session_id = derived_uuid7(int(start.timestamp() * 1000), name)
        weights = [model[4] for model in _MODELS]
        self._provider, self._model, self._input_usd, self._output_usd, _ = dice.choices(_MODELS, weights)[0]
        self._tools = dice.sample(_TOOLS, dice.randint(2, 6))
        self._exchange, self._context_tokens = 0, dice.randint(8000, 20_000)
        self._waiting: list[tuple[str, ToolCallSummary]] = []
        self._answered: list[ResponseRecorded] = []
        self.events: list[Event] = []
        self._begin()
        for _ in range(exchange_count):
            self._turn()
        self._end()

    def _head(self) -> dict[str, Any]:
        return {
            "session_id": self.session_id,
            "request_id": self._request_id(),
            "timestamp": self._now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "seq": len(self.events),
        }

    def _request_id(self) -> str:
        return derived_uuid7(int(self._start.timestamp() * 1000), self._name, str(self._exchange))

    def _say(self, words: int) -> str:
        return " ".join(self._dice.choices(WORDS, cum_weights=_WEIGHTS, k=words))

    def _begin(self) -> None:
        client = self._dice.choice(_CLIENTS[self._provider])
        tags = [self._dice.choice(_TAGS)] if self._dice.random() < 0.1 else []
        self.events.append(
            Started(
                **self._head(),
                conversation_id=f"conversation-{self._name[:12]}",
                continues=None,
                model_requested=self._model,
                provider=self._provider,
                listener=self._provider,
                dialect=self._dialect(),
                is_streaming=True,
                metadata=Metadata(
                    client_ip="127.0.0.1",
                    user_agent=f"{client}/2.0",
                    client=ClientInfo(name=client, version="2.0"),
                    api_version=None,
                    request_headers=[("accept", "application/json")],
                    session_tags=tags,
                ),
                identity=Identity(rule="client_header", evidence=f"session={self._name[:12]}"),
            )
        )

    def _dialect(self) -> str:
        return "anthropic_messages" if self._provider == "anthropic" else "openai_responses"

    def _turn(self) -> None:
        self._now += timedelta(seconds=self._dice.lognormvariate(1.5, 1.0))
        text = "" if self._waiting else self._say(self._dice.randint(4, 30))
        self._results()
        body = msgspec.json.encode({"model": self._model, "messages": [{"role": "user", "content": text}]})
        self.events.append(
            RequestRecorded(
                **self._head(),
                dialect=self._dialect(),
                provider=self._provider,
                listener=self._provider,
                method="POST",
                target="/v1/messages" if self._provider == "anthropic" else "/v1/responses",
                model_requested=self._model,
                is_streaming=True,
                request_text=text,
                request_json=msgspec.Raw(body),
                request_body=None,
                body_sha256=hashlib.sha256(body).hexdigest(),
                is_body_complete=True,
                estimated_tokens=self._context_tokens,
                request_headers=[("accept", "application/json")],
                stats=RequestStats(
                    pre_processing_ms=0.1,
                    request_size_bytes=len(body),
                    message_count=2 * self._exchange + 1,
                    has_system_prompt=True,
                    has_tools=True,
                    tool_count=len(self._tools),
                ),
            )
        )
        self._answer()
        self._exchange += 1

    def _answer(self) -> None:
        dice = self._dice
        latency_ms = dice.lognormvariate(8.3, 0.9)
        self._now += timedelta(milliseconds=latency_ms)
        failed = dice.random() < 0.02
        outcome: Outcome = dice.choice(_FAILURES) if failed else "completed"
        calls = [] if failed or dice.random() < 0.35 else [self._call(n) for n in range(dice.choice((1, 1, 1, 2, 3)))]
        text = "" if failed else self._say(dice.randint(5, 50))
        body = msgspec.json.encode({"content": text})
        tokens = Tokens() if failed else self._tokens()
        event = ResponseRecorded(
            **self._head(),
            response_text=text,
            thinking_text="",
            response_json=msgspec.Raw(body),
            response_body=None,
            body_sha256=hashlib.sha256(body).hexdigest(),
            model_used=None if failed else self._model,
            status_code=529 if outcome == "http_error" else 200,
            outcome=outcome,
            success=not failed,
            finish_reason=None if failed else ("tool_use" if calls else "end_turn"),
            error=Error(type=outcome, message="it did not go well") if failed else None,
            provider_request_id=f"req_{self._name[:8]}_{self._exchange}",
            response_id=f"msg_{self._name[:8]}_{self._exchange}",
            rate_limits=None,
            response_headers=[("content-type", "text/event-stream")],
            stats=self._stats(tokens, calls, latency_ms, len(body)),
        )
        self._answered.append(event)
        self.events.append(event)
        self._waiting = [(event.request_id, call) for call in calls]

    def _call(self, number: int) -> ToolCallSummary:
        arguments = msgspec.json.encode({"command": self._say(self._dice.randint(2, 12))}).decode()
        return ToolCallSummary(
            tool_name=self._dice.choice(self._tools),
            tool_call_id=f"call_{self._name[:8]}_{self._exchange}_{number}",
            call_type="tool_use",
            arguments=arguments,
            execution_time_ms=None,
            input_size_bytes=len(arguments),
            output_size_bytes=None,
            success=None,
        )

    def _results(self) -> None:
        for call_request_id, call in self._waiting:
            output = self._say(self._dice.randint(3, 60))
            failed = self._dice.random() < 0.06
            self.events.append(
                ToolCallRecorded(
                    **self._head(),
                    tool_name=call.tool_name,
                    tool_call_id=call.tool_call_id or "",
                    call_request_id=call_request_id,
                    model_name=self._model,
                    arguments=call.arguments,
                    execution_time_ms=self._dice.lognormvariate(6, 1.5),
                    is_shared_bound=len(self._waiting) > 1,
                    input_size_bytes=call.input_size_bytes,
                    output_size_bytes=len(output),
                    output_text=output,
                    success=not failed,
                    error=output[:500] if failed else None,
                )
            )
        self._waiting = []

    def _tokens(self) -> Tokens:
        output = max(1, round(self._dice.lognormvariate(5, 1)))
        cached = round(self._context_tokens * 0.9) if self._exchange else 0
        self._context_tokens += output + self._dice.randint(50, 1500)
        size = self._context_tokens
        return Tokens(
            input_tokens=size,
            output_tokens=output,
            thinking_tokens=output // 4,
            cache_read_tokens=cached,
            cache_creation_tokens=size - cached if self._provider == "anthropic" else None,
            total_tokens=size + output,
            thinking_percentage=25.0,
            tokens_per_second=60.0,
        )

    def _stats(
        self, tokens: Tokens, calls: list[ToolCallSummary], latency_ms: float, response_bytes: int
    ) -> ResponseStats:
        return ResponseStats(
            provider_latency_ms=latency_ms,
            time_to_first_byte_ms=latency_ms * 0.2,
            time_to_first_token_ms=latency_ms * self._dice.uniform(0.2, 0.4),
            pre_processing_ms=0.1,
            post_processing_ms=0.1,
            total_proxy_overhead_ms=0.2,
            total_duration_ms=latency_ms + 0.2,
            tokens=tokens,
            usage_raw=None,
            tool_calls=calls,
            server_tool_calls=[],
            response_size_bytes=response_bytes,
            content_blocks=["text", *["tool_use"] * len(calls)],
            has_refusal=False,
            is_streaming=True,
            streaming=StreamingStats(
                chunk_count=40,
                streaming_duration_ms=latency_ms * 0.8,
                chunk_gap_avg_ms=20.0,
                chunk_gap_p50_ms=18.0,
                chunk_gap_p95_ms=40.0,
                chunk_gap_p99_ms=60.0,
                chunk_gap_max_ms=90.0,
                chunk_gap_min_ms=1.0,
            ),
            estimated_cost=self._cost(tokens),
            stream_events=[],
            unknown_events={},
        )

    def _cost(self, tokens: Tokens) -> Cost | None:
        if tokens.input_tokens is None or tokens.output_tokens is None:
            return None
        cached = tokens.cache_read_tokens or 0
        read_usd = cached * self._input_usd * 0.1
        input_usd = (tokens.input_tokens - cached) * self._input_usd
        output_usd = tokens.output_tokens * self._output_usd
        total_usd = input_usd + read_usd + output_usd
        return Cost(
            total_cost_usd=total_usd,
            input_cost_usd=input_usd,
            output_cost_usd=output_usd,
            thinking_cost_usd=0.0,
            cache_read_cost_usd=read_usd,
            cache_creation_cost_usd=0.0,
            cost_per_1k_tokens=None,
            by_model={self._model: total_usd},
            price_version="simulated",
            unpriced_requests=0,
        )

    def _end(self) -> None:
        answered = [one.stats for one in self._answered]
        costs = [one.estimated_cost for one in answered if one.estimated_cost is not None]
        total: dict[str, Any] = {
            name: sum(getattr(cost, name) for cost in costs)
            for name in Cost.__struct_fields__
            if name.endswith("_cost_usd")
        }
        calls = sum(len(one.tool_calls) for one in answered)
        results = [event for event in self.events if isinstance(event, ToolCallRecorded)]
        last = self._answered[-1]
        self._exchange -= 1
        self.events.append(
            Completed(
                **self._head(),
                success=last.success,
                error=None if last.error is None else last.error.message,
                finish_reason=last.finish_reason,
                reason="idle",
                final_stats=FinalStats(
                    total_duration_ms=(self._now - self._start).total_seconds() * 1000,
                    provider_time_ms=sum(one.provider_latency_ms or 0.0 for one in answered),
                    proxy_overhead_ms=sum(one.total_proxy_overhead_ms for one in answered),
                    overhead_percentage=None,
                    request_count=len(answered),
                    error_count=sum(not one.success for one in self._answered),
                    total_tokens=_total_tokens([one.tokens for one in answered]),
                    tool_summary=ToolSummary(
                        total_calls=calls,
                        unique_tools=len({one.tool_name for one in results}),
                        total_tool_time_ms=sum(one.execution_time_ms or 0.0 for one in results),
                        tool_error_count=sum(one.success is False for one in results),
                        by_tool={},
                    ),
                    performance=Performance(**dict.fromkeys(Performance.__struct_fields__)),
                    estimated_cost=msgspec.structs.replace(_NO_COST, **total),
                ),
            )
        )


def _total_tokens(tokens: list[Tokens]) -> TotalTokens:
    def total(name: str) -> int | None:
        said = [value for one in tokens if (value := getattr(one, name)) is not None]
        return sum(said) if said else None

    return TotalTokens(
        input=total("input_tokens"),
        output=total("output_tokens"),
        thinking=total("thinking_tokens"),
        cache_read=total("cache_read_tokens"),
        cache_creation=total("cache_creation_tokens"),
        cached=None,
        audio_input=None,
        audio_output=None,
        total=total("total_tokens"),
        by_model={},
    )
