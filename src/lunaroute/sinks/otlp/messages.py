"""Spans and totals as the protobuf of OTLP.

In: neutral spans (`events.spans`), and the recorder's totals. Out: the bytes of one request. Metrics are cumulative,
from the moment at which the recorder's totals were zero; so one that is lost costs nothing, nor one that comes twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from lunaroute import __version__
from lunaroute.events import spans as neutral
from lunaroute.events.semconv import METRICS, TOKEN_TYPE, Version, provider_name
from lunaroute.events.totals import LONG_S, PICODOLLARS, TOKENS, Buckets, ModelTotals, Totals

_SCOPE = InstrumentationScope(name="lunaroute", version=__version__)
_KINDS = {"client": Span.SPAN_KIND_CLIENT, "internal": Span.SPAN_KIND_INTERNAL}
_NS = 1_000_000_000


def traces(spans: Sequence[neutral.Span], service_name: str) -> bytes:
    scope = ScopeSpans(scope=_SCOPE, spans=[_span(one) for one in spans])
    found = ResourceSpans(resource=_resource(service_name), scope_spans=[scope])
    return bytes(ExportTraceServiceRequest(resource_spans=[found]).SerializeToString())


def metrics(totals: Totals, version: Version, service_name: str, now_s: float) -> bytes:
    points = _Points(start_ns=int(totals.began_at_s * _NS), now_ns=int(now_s * _NS))
    scope = ScopeMetrics(
        scope=_SCOPE, metrics=[*_of_models(totals, version, points), *_of_tools(totals, version, points)]
    )
    found = ResourceMetrics(resource=_resource(service_name), scope_metrics=[scope])
    return bytes(ExportMetricsServiceRequest(resource_metrics=[found]).SerializeToString())


# ---- spans


def _span(span: neutral.Span) -> Span:
    return Span(
        trace_id=bytes.fromhex(span.trace_id),
        span_id=bytes.fromhex(span.span_id),
        parent_span_id=bytes.fromhex(span.parent_span_id or ""),
        name=_text(span.name),
        kind=_KINDS[span.kind],
        start_time_unix_nano=span.start_ns,
        end_time_unix_nano=span.end_ns,
        attributes=_attributes(span.attributes),
        status=None if span.error is None else Status(code=Status.STATUS_CODE_ERROR, message=_text(span.error)),
    )


# ---- metrics


class _Points:
    """Data points of one moment."""

    def __init__(self, start_ns: int, now_ns: int) -> None:
        self._times: dict[str, Any] = {"start_time_unix_nano": start_ns, "time_unix_nano": now_ns}

    def histogram(
        self, name: str, unit: str, found: Iterable[tuple[Mapping[str, Any], Buckets]], bounds: Sequence[float]
    ) -> Metric:
        data = [
            HistogramDataPoint(
                **self._times,
                attributes=_attributes(attributes),
                count=sum(buckets.counts),
                sum=buckets.sum,
                bucket_counts=buckets.counts,
                explicit_bounds=bounds,
            )
            for attributes, buckets in found
            if buckets.counts
        ]
        histogram = Histogram(data_points=data, aggregation_temporality=AGGREGATION_TEMPORALITY_CUMULATIVE)
        return Metric(name=name, unit=unit, histogram=histogram)

    def counter(self, name: str, unit: str, found: Iterable[tuple[Mapping[str, Any], int | float]]) -> Metric:
        data = [
            NumberDataPoint(**self._times, attributes=_attributes(attributes), as_int=value)
            if isinstance(value, int)
            else NumberDataPoint(**self._times, attributes=_attributes(attributes), as_double=value)
            for attributes, value in found
        ]
        counter = Sum(data_points=data, aggregation_temporality=AGGREGATION_TEMPORALITY_CUMULATIVE, is_monotonic=True)
        return Metric(name=name, unit=unit, sum=counter)


_Models = list[tuple[dict[str, Any], ModelTotals]]


def _of_models(totals: Totals, version: Version, points: _Points) -> Iterator[Metric]:
    names = METRICS[version]
    models: _Models = [
        (
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": provider_name(provider),
                "gen_ai.request.model": model,
            },
            found,
        )
        for provider, by_name in totals.models.items()
        for model, found in by_name.items()
    ]
    yield points.histogram(names.duration, "s", [(named, one.duration) for named, one in models], LONG_S)
    yield points.histogram(names.time_to_first_chunk, "s", [(named, one.ttfb) for named, one in models], LONG_S)
    if names.token_usage is not None:
        both = [(named | {TOKEN_TYPE: "input"}, one.input_sizes) for named, one in models]
        both += [(named | {TOKEN_TYPE: "output"}, one.output_sizes) for named, one in models]
        yield points.histogram(names.token_usage, "{token}", both, TOKENS)
    if names.operation_tokens is not None:
        sizes = {"input": "input_sizes", "output": "output_sizes"}
        for kind, field in sizes.items():
            found = [(named, getattr(one, field)) for named, one in models]
            yield points.histogram(names.operation_tokens.format(kind), "{token}", found, TOKENS)
    if names.token_counter is not None:
        yield from _token_counters(names.token_counter, models, points)
    yield points.counter(
        "lunaroute.cost", "{USD}", [(named, one.cost_picodollars / PICODOLLARS) for named, one in models]
    )
    ended = [
        (named | {"lunaroute.outcome": outcome}, count)
        for named, one in models
        for outcome, count in one.outcomes.items()
    ]
    yield points.counter("lunaroute.exchanges", "{exchange}", ended)


_COUNTED = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cache_read.input_tokens": "cache_read_tokens",
    "cache_write.input_tokens": "cache_creation_tokens",
    "reasoning.output_tokens": "thinking_tokens",
}


def _token_counters(form: str, models: _Models, points: _Points) -> Iterator[Metric]:
    for kind, field in _COUNTED.items():
        yield points.counter(form.format(kind), "{token}", [(named, getattr(one, field)) for named, one in models])


def _of_tools(totals: Totals, version: Version, points: _Points) -> Iterator[Metric]:
    name = METRICS[version].tool_duration or "lunaroute.tool.duration"
    found = [({"gen_ai.tool.name": tool}, one.execution) for tool, one in totals.tools.items()]
    yield points.histogram(name, "s", found, LONG_S)


# ---- both


def _resource(service_name: str) -> Resource:
    return Resource(attributes=_attributes({"service.name": service_name, "service.version": __version__}))


def _attributes(values: Mapping[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_any_value(value)) for key, value in values.items()]


def _any_value(value: Any) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case list():
            return AnyValue(array_value=ArrayValue(values=[_any_value(one) for one in value]))
        case _:
            return AnyValue(string_value=_text(str(value)))


def _text(text: str) -> str:
    """Protobuf has no text but Unicode's; recorded text may hold halves of surrogate pairs."""
    return text.encode("utf-8", "replace").decode()
