"""[pure] The OpenAPI document of the JSON API, made from its table."""

from __future__ import annotations

import re
from typing import Any, get_args, get_origin

import msgspec

from lunaroute import __version__

from .endpoints import ENDPOINTS, PARAMETERS, Endpoint

PREFIX = "/api/v1"
_OF_STREAMS = {
    "q": "A filter, as docs/queries.md describes it.",
    "after": "Id of the event to go on after; `first` for all there is. Without it, what comes from now on.",
    "form": "`whole` (the default): events as in the files; `facts`: what can be filtered by, without bodies.",
    "in_flight": "`0`: only what was recorded, nothing of what is in flight.",
    "session": "Whose texts in flight are wanted.",
}
_LIVE = "Server-sent events for a page: `change` each time that something was recorded, and what is in flight"
_EVENTS = (
    "Server-sent events, or a WebSocket: every event in the order of recording, after the one that `Last-Event-ID` or "
    "`after` names, and as `in_flight` what open exchanges say so far"
)
_IN_PATH = re.compile(r"\{(\w+)\}")


class ErrorAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What every failure answers."""

    error: str
    """A line for a person."""
    kind: str
    """The class of the error, e.g. FilterError."""


def openapi_document() -> dict[str, Any]:
    results = [one.result for one in ENDPOINTS if one.result is not Any] + [one.body for one in ENDPOINTS if one.body]
    schemas, components = msgspec.json.schema_components(
        [*results, ErrorAnswer], schema_hook=_any, ref_template="#/components/schemas/{name}"
    )
    known = {_key(kind): schema for kind, schema in zip([*results, ErrorAnswer], schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for one in ENDPOINTS:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, known)
    paths["/live"] = {"get": _stream("live", _LIVE, ("session",))}
    paths["/events"] = {"get": _stream("events", _EVENTS, ("q", "after", "form", "in_flight"))}
    for part, what in (("request", "The request's body, byte for byte"), ("response", "The response's body")):
        paths[f"/exchanges/{{request_id}}/{part}"] = {"get": _bytes(what)}
    paths["/exchanges/{request_id}/curl"] = {"get": _bytes("A command that sends the request again")}
    return {
        "openapi": "3.1.0",
        "info": {"title": "LunaRoute", "version": __version__, "description": "Recordings of LLM traffic, read-only."},
        "servers": [{"url": PREFIX}],
        "paths": paths,
        "components": {"schemas": components},
    }


def _any(_kind: type) -> dict[str, Any]:
    """A value of SQLite, which may be anything."""
    return {"description": "null, a number or a text"}


def _key(kind: Any) -> str:
    return str(kind) if get_origin(kind) and get_args(kind) else kind.__name__


def _operation(one: Endpoint, known: dict[str, Any]) -> dict[str, Any]:
    schema = {} if one.result is Any else known[_key(one.result)]
    operation: dict[str, Any] = {
        "summary": one.summary,
        "operationId": one.answer.__name__,
        "parameters": [*_path_parameters(one.path), *(_query_parameter(name) for name in one.parameters)],
        "responses": {"200": _json("What was asked for", schema), "default": _json("An error", known["ErrorAnswer"])},
    }
    if one.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": known[_key(one.body)]}},
        }
    return operation


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in _IN_PATH.findall(path)
    ]


def _query_parameter(name: str) -> dict[str, Any]:
    kind = "integer" if name == "limit" else "string"
    return {"name": name, "in": "query", "description": PARAMETERS[name], "schema": {"type": kind}}


def _json(description: str, schema: Any) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _stream(name: str, what: str, parameters: tuple[str, ...]) -> dict[str, Any]:
    return {
        "summary": what,
        "operationId": name,
        "parameters": [
            {"name": one, "in": "query", "description": _OF_STREAMS[one], "schema": {"type": "string"}}
            for one in parameters
        ],
        "responses": {"200": {"description": what, "content": {"text/event-stream": {"schema": {"type": "string"}}}}},
    }


def _bytes(what: str) -> dict[str, Any]:
    return {
        "summary": what,
        "operationId": re.sub(r"\W+", "_", what.lower()),
        "parameters": _path_parameters("{request_id}"),
        "responses": {"200": {"description": what, "content": {"text/plain": {"schema": {"type": "string"}}}}},
    }
