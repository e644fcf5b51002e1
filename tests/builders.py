"""Builders for events: a session told as a short story, every number in it chosen by the test.

    script = SessionScript("alpha")
    script.turn("list the files", "here they are", tokens=Tokens(input_tokens=10, output_tokens=5), cost_usd=0.5)
    script.complete()
    script.events

A script keeps `seq`, ids and the clock, and adds up its own turns, independently of the code under test.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from lunaroute.capture.ids import derived_uuid7
from lunaroute.capture.records import Outcome
from lunaroute.events import encode_event
from lunaroute.events.figures import (
    Cost,
    FinalStats,
    Performance,
    SnapshotStats,
    Tokens,
    ToolSummary,
    ToolUse,
)
from lunaroute.events.types import (
    ClientInfo,
    Completed,
    CompletionReason,
    Error,
    Event,
    Identity,
    Metadata,
    RequestRecorded,
    RequestStats,
    ResponseRecorded,
    Started,
    StatsSnapshot,
    ToolCallRecorded,
)
from tests.event_values import MODEL, Call, cost, response_stats, sum_known, tokens, total_tokens_of

__all__ = ["MODEL", "TEN_OCLOCK", "Call", "SessionScript", "as_written", "cost", "session_id_at", "stamp", "tokens"]

TEN_OCLOCK = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def session_id_at(moment: datetime, name: str = "alpha") -> str:
    return derived_uuid7(_unix_ms(moment), name)


class SessionScript:
    """One session, event by event. Every turn takes one second of wall time, whatever its latencies say."""

    def __init__(
        self,
        name: str = "alpha",
        start: datetime = TEN_OCLOCK,
        *,
        model: str = MODEL,
        provider: str = "anthropic",
        client: str | None = "claude-code",
        tags: Sequence[str] = (),
        continues: str | None = None,
        tenant: str | None = None,
    ) -> None:
        self.name = name
        self.start = start
        self.now = start
        self.model = model
        self.provider = provider
        self.session_id = session_id_at(start, name)
        self.events: list[Event] = []
        self._responses: list[ResponseRecorded] = []
        self._results: list[ToolCallRecorded] = []
        self._exchange = 0
        self.tenant = tenant
        self.events.append(
            Started(
                **self._head(),
                conversation_id=f"conversation-{name}",
                continues=continues,
                model_requested=model,
                provider=provider,
                listener=provider,
                dialect="anthropic_messages",
                is_streaming=True,
                metadata=Metadata(
                    client_ip="127.0.0.1",
                    user_agent="claude-cli/2.0.1",
                    client=ClientInfo(name=client, version="2.0.1"),
                    api_version="2023-06-01",
                    request_headers=[("accept", "application/json")],
                    session_tags=list(tags),
                ),
                identity=Identity(rule="client_header", evidence=f"x-session={name}"),
                tenant=tenant,
            )
        )

    # ---- the story ----

    def turn(
        self,
        user: str = "hello",
        assistant: str = "hi",
        *,
        tokens: Tokens | None = None,
        cost_usd: float | None = None,
        calls: Sequence[Call] = (),
        latency_ms: float = 100.0,
        overhead_ms: float = 1.0,
        outcome: Outcome = "completed",
        error: str | None = None,
        request_json: bytes = b'{"messages":[]}',
    ) -> SessionScript:
        """A request and its response."""
        self.ask(user, request_json=request_json)
        return self.answer(
            assistant,
            tokens=tokens,
            cost_usd=cost_usd,
            calls=calls,
            latency_ms=latency_ms,
            overhead_ms=overhead_ms,
            outcome=outcome,
            error=error,
        )

    def ask(self, user: str = "hello", *, request_json: bytes = b'{"messages":[]}') -> SessionScript:
        self._exchange += 1
        self.events.append(
            RequestRecorded(
                **self._head(),
                dialect="anthropic_messages",
                provider=self.provider,
                listener=self.provider,
                method="POST",
                target="/v1/messages",
                model_requested=self.model,
                is_streaming=True,
                request_text=user,
                request_json=msgspec.Raw(request_json),
                request_body=None,
                body_sha256=hashlib.sha256(request_json).hexdigest(),
                is_body_complete=True,
                estimated_tokens=len(request_json) // 4,
                request_headers=[("accept", "application/json")],
                stats=RequestStats(
                    pre_processing_ms=0.25,
                    request_size_bytes=len(request_json),
                    message_count=self._exchange,
                    has_system_prompt=True,
                    has_tools=True,
                    tool_count=2,
                ),
                tenant=self.tenant,
            )
        )
        return self

    def answer(
        self,
        assistant: str = "hi",
        *,
        tokens: Tokens | None = None,
        cost_usd: float | None = None,
        calls: Sequence[Call] = (),
        latency_ms: float = 100.0,
        overhead_ms: float = 1.0,
        outcome: Outcome = "completed",
        error: str | None = None,
    ) -> SessionScript:
        self.now += timedelta(seconds=1)
        is_completed = outcome == "completed"
        event = ResponseRecorded(
            **self._head(),
            response_text=assistant,
            thinking_text="",
            response_json=msgspec.Raw(b'{"type":"message"}'),
            response_body=None,
            body_sha256=hashlib.sha256(assistant.encode(errors="replace")).hexdigest(),
            model_used=f"{self.model}-20250929" if is_completed else None,
            status_code=200 if is_completed else 529,
            outcome=outcome,
            success=is_completed,
            finish_reason="end_turn" if is_completed else None,
            error=None if is_completed else Error(type="overloaded_error", message=error or "Overloaded"),
            provider_request_id=f"req_{self._exchange}",
            response_id=f"msg_{self._exchange}",
            rate_limits={"anthropic-ratelimit-requests-remaining": "99"},
            response_headers=[("content-type", "text/event-stream")],
            stats=response_stats(tokens or Tokens(), cost(cost_usd), calls, latency_ms, overhead_ms),
        )
        self._responses.append(event)
        self.events.append(event)
        return self

    def result(
        self, call: Call, output: str = "done", *, execution_ms: float = 20.0, success: bool | None = True
    ) -> SessionScript:
        """The result of a call of the latest turn, carried by the request that comes next."""
        assert call.tool_call_id is not None
        event = ToolCallRecorded(
            **{**self._head(), "request_id": self._request_id(self._exchange + 1)},
            tool_name=call.tool_name,
            tool_call_id=call.tool_call_id,
            call_request_id=self._request_id(self._exchange),
            model_name=self.model,
            arguments=call.arguments,
            execution_time_ms=execution_ms,
            is_shared_bound=False,
            input_size_bytes=len(call.arguments),
            output_size_bytes=len(output),
            output_text=output,
            success=success,
            error=output[:100] if success is False else None,
        )
        self._results.append(event)
        self.events.append(event)
        return self

    def snapshot(self) -> SessionScript:
        self.events.append(
            StatsSnapshot(
                **self._head(),
                stats=SnapshotStats(
                    request_count=self._exchange,
                    total_input_tokens=0,
                    total_output_tokens=0,
                    total_thinking_tokens=0,
                    total_tool_calls=0,
                    unique_tools=0,
                    cumulative_latency_ms=0.0,
                    cumulative_proxy_overhead_ms=0.0,
                ),
            )
        )
        return self

    def complete(self, reason: CompletionReason = "ended") -> SessionScript:
        last = self._responses[-1] if self._responses else None
        self.events.append(
            Completed(
                **self._head(),
                success=all(one.success for one in self._responses),
                error=None if last is None or last.error is None else last.error.message,
                finish_reason=last.finish_reason if last else None,
                reason=reason,
                final_stats=self._final_stats(),
            )
        )
        return self

    # ---- its numbers ----

    def _head(self) -> dict[str, str | int]:
        return {
            "session_id": self.session_id,
            "request_id": self._request_id(max(self._exchange, 1)),
            "timestamp": stamp(self.now),
            "seq": len(self.events),
        }

    def _request_id(self, number: int) -> str:
        return derived_uuid7(_unix_ms(self.start), self.name, str(number))

    def _final_stats(self) -> FinalStats:
        stats = [one.stats for one in self._responses]
        duration_ms = (self.now - self.start).total_seconds() * 1000
        overhead_ms = sum(one.total_proxy_overhead_ms for one in stats)
        costs = [one.estimated_cost for one in stats if one.estimated_cost is not None]
        total_usd = sum_known([one.total_cost_usd for one in costs])
        return FinalStats(
            total_duration_ms=duration_ms,
            provider_time_ms=sum(one.provider_latency_ms or 0.0 for one in stats),
            proxy_overhead_ms=overhead_ms,
            overhead_percentage=100 * overhead_ms / duration_ms if duration_ms else None,
            request_count=len(stats),
            error_count=sum(not one.success for one in self._responses),
            total_tokens=total_tokens_of([one.tokens for one in stats], self.model),
            tool_summary=self._tool_summary(),
            performance=Performance(**dict.fromkeys(Performance.__struct_fields__)),
            estimated_cost=Cost(
                total_cost_usd=total_usd,
                input_cost_usd=sum_known([one.input_cost_usd for one in costs]),
                output_cost_usd=sum_known([one.output_cost_usd for one in costs]),
                thinking_cost_usd=sum_known([one.thinking_cost_usd for one in costs]),
                cache_read_cost_usd=sum_known([one.cache_read_cost_usd for one in costs]),
                cache_creation_cost_usd=sum_known([one.cache_creation_cost_usd for one in costs]),
                cost_per_1k_tokens=None,
                by_model={} if total_usd is None else {self.model: total_usd},
                price_version="2026-11-01",
                unpriced_requests=sum(one.unpriced_requests for one in costs),
            ),
        )

    def _tool_summary(self) -> ToolSummary:
        by_tool: dict[str, ToolUse] = {}
        calls = [call.tool_name for one in self._responses for call in one.stats.tool_calls]
        for name in dict.fromkeys(calls):
            results = [one for one in self._results if one.tool_name == name]
            times = [one.execution_time_ms for one in results if one.execution_time_ms is not None]
            by_tool[name] = ToolUse(
                call_count=calls.count(name),
                total_execution_time_ms=sum(times),
                avg_execution_time_ms=sum(times) / len(times) if times else None,
                error_count=sum(one.success is False for one in results),
            )
        return ToolSummary(
            total_calls=len(calls),
            unique_tools=len(by_tool),
            total_tool_time_ms=sum(one.total_execution_time_ms for one in by_tool.values()),
            tool_error_count=sum(one.error_count for one in by_tool.values()),
            by_tool=by_tool,
        )


def _unix_ms(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def as_written(events: Sequence[Event]) -> list[Event]:
    """The events of one session as its file has them: each names the line before it, by the words of the contract."""
    written: list[Event] = []
    prev: str | None = None
    for event in events:
        written.append(msgspec.structs.replace(event, prev=prev))
        line = encode_event(written[-1])
        match event:
            case RequestRecorded(request_json=body, request_body=None):
                line = line.replace(b'"request_json":' + bytes(body), b'"request_json":', 1)
            case ResponseRecorded(response_json=body, response_body=None):
                line = line.replace(b'"response_json":' + bytes(body), b'"response_json":', 1)
        prev = hashlib.sha256(line).hexdigest()
    return written
