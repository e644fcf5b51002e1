"""Pages of sums: tools, models and cost, latency."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from lunaroute.errors import FilterError
from lunaroute.query.latency import Latency, latencies, merged
from lunaroute.query.tools import ToolUsage, tool_usage
from lunaroute.query.usage import Usage, usage

from .call import PageCall


class ModelRow(msgspec.Struct, frozen=True, kw_only=True):
    usage: Usage
    latency: Latency | None
    tokens_per_second: float | None
    """Output tokens for each second of waiting: thinking of the provider's queue included."""


def tools_page(call: PageCall) -> Response:
    tools: list[ToolUsage] = []
    problem = None
    try:
        tools = [] if call.index is None else tool_usage(call.index, call.asked.wanted)
    except FilterError as error:
        problem = error
    return call.show("tools.html", page="tools", title="Tools", tools=tools, problem=problem)


def models_page(call: PageCall) -> Response:
    rows: list[ModelRow] = []
    clients: list[Usage] = []
    problem = None
    try:
        if call.index is not None:
            sums = usage(call.index, call.asked.wanted, ["provider", "model"])
            found = latencies(call.index, call.asked.wanted, ["provider", "model"])
            times = {(one.provider, one.model): one for one in found}
            rows = [_model(one, times.get((one.provider, one.model))) for one in sums]
            clients = usage(call.index, call.asked.wanted, ["client"])
    except FilterError as error:
        problem = error
    return call.show(
        "models.html",
        page="models",
        title="Models & cost",
        models=sorted(rows, key=lambda row: -(row.usage.total_cost_usd or 0)),
        clients=sorted(clients, key=lambda one: -(one.total_cost_usd or 0)),
        whole_usd=sum(row.usage.total_cost_usd or 0 for row in rows),
        problem=problem,
    )


def _model(one: Usage, latency: Latency | None) -> ModelRow:
    seconds = one.provider_latency_ms / 1000
    rate = (one.output_tokens or 0) / seconds if seconds and one.output_tokens else None
    return ModelRow(usage=one, latency=latency, tokens_per_second=rate)


def latency_page(call: PageCall) -> Response:
    models: list[Latency] = []
    whole = None
    problem = None
    try:
        if call.index is not None:
            models = latencies(call.index, call.asked.wanted, ["model"])
            whole = merged(models)
    except FilterError as error:
        problem = error
    return call.show(
        "latency.html",
        page="latency",
        title="Latency",
        models=sorted(models, key=lambda one: -one.latency.count),
        whole=whole,
        problem=problem,
    )
