"""One session of a transcript, told event by event.

What only the wire shows is null, or 0 where a field cannot be: latencies, bodies and their hashes, headers, status,
what of a request was sent again. An exchange whose output nobody counted has no price.
"""

from __future__ import annotations

import msgspec

from lunaroute.capture.ids import derived_uuid7
from lunaroute.dialects import dialect_of
from lunaroute.dialects.facts import RequestFacts, ResponseFacts, ToolCall, ToolResult
from lunaroute.dialects.portable import is_portable
from lunaroute.events.figures import Cost
from lunaroute.events.numbers import exchange_cost, exchange_tokens, final_stats, to_ms, unpriced_cost
from lunaroute.events.timestamps import timestamp
from lunaroute.events.types import (
    NO_JSON,
    ClientInfo,
    Completed,
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
from lunaroute.pricing import CostSums, Pricer, PriceRequest, add_priced
from lunaroute.sessions import verdict_of
from lunaroute.stats import (
    ExchangeNumbers,
    SessionSums,
    Timing,
    TokenCounts,
    add_exchange,
    add_tool_result,
    count_tokens,
    plausible_billing,
)

from .turn import Conversation, Turn

_LISTENER = "transcript"
_RULE = "transcript"
_EXCERPT_CHARS = 500
_encode = msgspec.json.Encoder().encode


class KnownCall(msgspec.Struct, frozen=True):
    """A call of the conversation, for the result that comes with a later turn."""

    request_id: str
    call: ToolCall
    model: str | None
    called_ns: int
    parallel_count: int


def request_id_of(turn: Turn, client_name: str) -> str:
    """The id of the turn's exchange: the same in every import, in whatever file the turn stands."""
    return derived_uuid7(turn.began_ns // 1_000_000, "transcript", client_name, turn.key)


class Session:
    """One session that is being told: what all of its events say, and its sums."""

    def __init__(self, conversation: Conversation, first: Turn) -> None:
        self._conversation = conversation
        self._first = first
        start_ms = first.began_ns // 1_000_000
        self.session_id = derived_uuid7(start_ms, "transcript-session", conversation.client_name, first.key)
        self._sums = SessionSums()
        self._cost = CostSums()
        self._threads: set[str] = set()
        self._waited_ns: dict[str, int] = {}
        """Exchange that asked → the longest of its calls: they ran side by side."""
        self._last_ns = first.began_ns
        self._last_request_id = request_id_of(first, conversation.client_name)
        self._finish_reason: str | None = None

    def started(self, continues: str | None) -> Started:
        turn = self._first
        return Started(
            session_id=self.session_id,
            request_id=self._last_request_id,
            timestamp=timestamp(turn.began_ns),
            seq=0,
            conversation_id=self._conversation.conversation_id,
            continues=continues,
            model_requested=turn.model,
            provider=turn.provider,
            listener=_LISTENER,
            dialect=dialect_of(turn.wire_format),
            is_streaming=False,
            metadata=Metadata(
                client_ip=None,
                user_agent=None,
                client=self._client(turn),
                api_version=None,
                request_headers=[],
                session_tags=[],
            ),
            identity=self._identity(),
            source="transcript",
        )

    def asked(self, turn: Turn, request_id: str, facts: RequestFacts, seq: int) -> RequestRecorded:
        thread_id = turn.thread_id or self._conversation.conversation_id
        is_new_thread = thread_id not in self._threads
        self._threads.add(thread_id)
        self._last_request_id = request_id
        return RequestRecorded(
            session_id=self.session_id,
            request_id=request_id,
            timestamp=timestamp(turn.began_ns),
            seq=seq,
            dialect=dialect_of(turn.wire_format),
            provider=turn.provider,
            listener=_LISTENER,
            method="",
            target="",
            model_requested=turn.model,
            is_streaming=False,
            request_text=facts.request_text,
            request_json=_json(turn.request),
            request_body=None,
            body_sha256="",
            is_body_complete=False,
            estimated_tokens=None,
            request_headers=[],
            stats=RequestStats(
                pre_processing_ms=0.0,
                request_size_bytes=0,
                message_count=None,
                has_system_prompt=False,
                has_tools=False,
                tool_count=0,
                new_message_count=facts.message_count,
            ),
            thread_id=thread_id,
            parent_thread_id=turn.parent_thread_id,
            thread_kind="main" if turn.parent_thread_id is None else "subagent",
            is_new_thread=is_new_thread,
            identity=self._identity(),
            client=self._client(turn),
            agent=turn.thread_id,
            project=turn.project,
        )

    def answered(self, turn: Turn, request_id: str, facts: ResponseFacts, seq: int, pricer: Pricer) -> ResponseRecorded:
        self._last_ns = max(self._last_ns, turn.ended_ns)
        self._finish_reason = facts.finish_reason
        return ResponseRecorded(
            session_id=self.session_id,
            request_id=request_id,
            timestamp=timestamp(turn.ended_ns),
            seq=seq,
            response_text=facts.text,
            thinking_text=facts.thinking_text,
            response_json=_json(turn.response),
            response_body=None,
            body_sha256="",
            model_used=facts.model,
            status_code=None,
            outcome="completed",
            success=True,
            finish_reason=facts.finish_reason,
            error=None,
            provider_request_id=None,
            response_id=turn.response_id,
            rate_limits=None,
            response_headers=[],
            stats=self._stats(turn, facts, pricer),
        )

    def _stats(self, turn: Turn, facts: ResponseFacts, pricer: Pricer) -> ResponseStats:
        is_counted = facts.usage is not None and facts.usage.output_tokens is not None
        tokens = count_tokens(facts.usage, facts.thinking_text if is_counted else "")
        timing = _timing(turn)
        add_exchange(
            self._sums,
            ExchangeNumbers(
                timing=timing,
                tokens=tokens,
                model_name=facts.model or turn.model,
                tool_names=[call.tool_name for call in facts.tool_calls],
                is_success=True,
                span_ns=turn.ended_ns - self._first.began_ns,
            ),
        )
        return ResponseStats(
            provider_latency_ms=None,
            time_to_first_byte_ms=None,
            time_to_first_token_ms=None,
            pre_processing_ms=0.0,
            post_processing_ms=0.0,
            total_proxy_overhead_ms=0.0,
            total_duration_ms=to_ms(timing.total_ns),
            tokens=exchange_tokens(tokens, timing),
            usage_raw=facts.usage.raw if facts.usage else None,
            tool_calls=[_summary(call) for call in facts.tool_calls],
            server_tool_calls=[_summary(call) for call in facts.server_tool_calls],
            response_size_bytes=0,
            content_blocks=facts.content_blocks,
            has_refusal=facts.has_refusal,
            is_streaming=False,
            streaming=None,
            estimated_cost=self._add_cost(turn, facts, tokens, pricer) if is_counted else self._add_unpriced(),
            stream_events=[],
            unknown_events=facts.unknown_events,
            billing=plausible_billing(facts.billing),
        )

    def _add_cost(self, turn: Turn, facts: ResponseFacts, tokens: TokenCounts, pricer: Pricer) -> Cost:
        request = PriceRequest(
            provider=turn.provider,
            model_used=facts.model,
            model_requested=turn.model,
            tokens=tokens,
            billing=plausible_billing(facts.billing),
            wall_ns=turn.began_ns,
        )
        parts = pricer.price(request)
        if parts is None:
            return self._add_unpriced()
        add_priced(self._cost, parts, tokens.total_tokens or 0, pricer.version)
        return exchange_cost(parts, tokens.total_tokens or 0, pricer.version)

    def _add_unpriced(self) -> Cost:
        self._cost.unpriced_requests += 1
        return unpriced_cost()

    def result(self, turn: Turn, request_id: str, known: KnownCall, result: ToolResult, seq: int) -> ToolCallRecorded:
        call, verdict = known.call, verdict_of(result)
        call_id = call.tool_call_id or ""
        returned_ns = turn.returned_ns.get(call_id, turn.began_ns)
        execution_ns = max(0, returned_ns - known.called_ns)
        add_tool_result(self._sums, call.tool_name, execution_ns, verdict.success)
        waited_ns = self._waited_ns.get(known.request_id, 0)
        self._sums.tool_wait_ns += max(0, execution_ns - waited_ns)
        self._waited_ns[known.request_id] = max(waited_ns, execution_ns)
        return ToolCallRecorded(
            session_id=self.session_id,
            request_id=request_id,
            timestamp=timestamp(turn.began_ns),
            seq=seq,
            tool_name=call.tool_name,
            tool_call_id=call_id,
            call_request_id=known.request_id,
            model_name=known.model,
            arguments=call.arguments,
            execution_time_ms=to_ms(execution_ns),
            is_shared_bound=False,
            input_size_bytes=call.input_size_bytes,
            output_size_bytes=result.output_size_bytes,
            output_text=result.output_text,
            success=verdict.success,
            error=result.output_text[:_EXCERPT_CHARS] if verdict.success is False else None,
            exit_code=verdict.exit_code,
            success_evidence=verdict.evidence,
            success_confidence=verdict.confidence,
            parallel_count=known.parallel_count,
        )

    def completed(self, seq: int) -> Completed:
        return Completed(
            session_id=self.session_id,
            request_id=self._last_request_id,
            timestamp=timestamp(self._last_ns),
            seq=seq,
            success=True,
            error=None,
            finish_reason=self._finish_reason,
            reason="idle",
            final_stats=final_stats(self._sums, self._cost),
        )

    def _client(self, turn: Turn) -> ClientInfo:
        return ClientInfo(name=self._conversation.client_name, version=turn.client_version)

    def _identity(self) -> Identity:
        return Identity(rule=_RULE, evidence=self._conversation.evidence)


def _timing(turn: Turn) -> Timing:
    """How long the exchange took, by the client's notes; what the provider took of it nobody measured."""
    return Timing(
        sent_ns=turn.began_ns,
        latency_ns=None,
        ttfb_ns=None,
        ttft_ns=None,
        generation_ns=None,
        streaming_ns=0,
        pre_processing_ns=0,
        post_processing_ns=0,
        total_ns=turn.ended_ns - turn.began_ns,
    )


def _json(value: dict[str, object]) -> msgspec.Raw:
    return msgspec.Raw(_encode(value)) if is_portable(value) else NO_JSON


def _summary(call: ToolCall) -> ToolCallSummary:
    return ToolCallSummary(
        tool_name=call.tool_name,
        tool_call_id=call.tool_call_id,
        call_type=call.call_type,
        item_id=call.item_id,
        arguments=call.arguments,
        execution_time_ms=None,
        input_size_bytes=call.input_size_bytes,
        output_size_bytes=None,
        success=None,
    )
