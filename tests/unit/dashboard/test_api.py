"""The JSON API answers what lunaroute.query does, and says in one line what is wrong with a question."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import lunaroute
from lunaroute.dashboard.endpoints import ENDPOINTS, PARAMETERS
from lunaroute.dashboard.openapi import openapi_document
from tests.dashboard_store import SESSIONS


def test_sessions_come_a_page_at_a_time_and_all_of_them_once(client: TestClient) -> None:
    found: list[str] = []
    after: str | None = ""
    while after is not None:
        page = client.get("/api/v1/sessions", params={"limit": 25, "after": after}).json()
        found += [one["session_id"] for one in page["items"]]
        after = page["next"]
    assert len(found) == len(set(found)) == SESSIONS + 1
    assert found == sorted(found, reverse=True)


def test_usage_is_that_of_the_python_api(client: TestClient, home: Path) -> None:
    with lunaroute.open(home) as store:
        expected = {one.model: (one.requests, one.total_cost_usd) for one in store.usage("", ["model"])}
    answer = client.get("/api/v1/usage", params={"by": "model"}).json()
    assert {one["model"]: (one["requests"], one["total_cost_usd"]) for one in answer} == expected


def test_usage_may_be_asked_for_some_sums_only(client: TestClient) -> None:
    whole = client.get("/api/v1/usage", params={"by": "day,model"}).json()
    some = client.get("/api/v1/usage", params={"by": "day,model", "fields": "requests,output_tokens"}).json()
    assert some == [{name: one[name] for name in ("day", "model", "requests", "output_tokens")} for one in whole]
    assert len(some) > 1


@pytest.mark.parametrize("path", ["usage", "latency", "tools", "sessions", "exchanges", "calls"])
def test_filter_and_range_narrow_every_list(client: TestClient, path: str) -> None:
    everything, little = (
        client.get(f"/api/v1/{path}", params=one).json() for one in ({}, {"range": "1h", "q": "model:gpt-5"})
    )
    assert everything != little
    assert client.get(f"/api/v1/{path}", params={"q": "model:nobody-has-this"}).json() in (
        [],
        {"items": [], "next": None},
    )


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("sessions?q=modle:opus", "did you mean 'model'"),
        ("sessions?q=cost:dear", "cost"),
        ("sessions?range=9y", "range=9y"),
        ("sessions?limit=0", "limit=0"),
        ("sessions?limit=99999", "limit=99999"),
        ("sessions?order=prettiest", "order=prettiest"),
        ("sessions?after=nowhere", "go on from"),
        ("usage?by=colour", "by=colour"),
        ("usage?fields=requests,colour", "fields=colour"),
        ("values/secrets", "must be one of"),
        ("search", "which words"),
    ],
)
def test_a_wrong_question_is_one_line(client: TestClient, path: str, said: str) -> None:
    answer = client.get(f"/api/v1/{path}")
    assert answer.status_code == 400
    assert said in answer.json()["error"]
    assert "\n" not in answer.json()["error"]


@pytest.mark.parametrize("path", ["sessions/0000", "sessions/0000/exchanges", "exchanges/0000", "exchanges/0000/curl"])
def test_what_was_not_recorded_is_not_found(client: TestClient, path: str) -> None:
    assert client.get(f"/api/v1/{path}").status_code == 404


def test_one_session_with_its_exchanges_and_calls(client: TestClient, home: Path) -> None:
    summary = client.get(
        "/api/v1/sessions", params={"order": "requests", "limit": 1, "q": "client:claude-code"}
    ).json()["items"][0]
    address = f"/api/v1/sessions/{summary['session_id']}"
    assert client.get(address).json()["summary"] == summary
    exchanges, calls = (client.get(f"{address}/{part}").json() for part in ("exchanges", "calls"))
    assert len(exchanges) == summary["request_count"]
    assert len(calls) == summary["tool_call_count"]
    assert sum(one["total_cost_usd"] or 0 for one in exchanges) == pytest.approx(summary["total_cost_usd"])
    assert {one["request_id"] for one in calls} <= {one["request_id"] for one in exchanges}


def test_exact_bytes_of_an_exchange_and_a_command_that_sends_it_again(client: TestClient, home: Path) -> None:
    request_id = client.get("/api/v1/exchanges", params={"limit": 1, "q": "provider:openai"}).json()["items"][0][
        "request_id"
    ]
    address = f"/api/v1/exchanges/{request_id}"
    body = client.get(f"{address}/request")
    assert body.headers["content-type"].startswith("text/plain")
    assert body.json() == client.get(address).json()["request"]["request_json"]
    assert client.get(f"{address}/response").json() == client.get(address).json()["response"]["response_json"]
    assert client.get(f"{address}/curl").text.startswith("curl -X POST http://127.0.0.1:8081/v1/responses")
    assert client.get(f"{address}/secrets").status_code == 404


def test_a_turn_has_its_texts_and_the_results_of_its_calls(client: TestClient) -> None:
    call = client.get("/api/v1/calls", params={"limit": 1, "q": "tool:Bash"}).json()["items"][0]
    turn = client.get(f"/api/v1/exchanges/{call['request_id']}/turn").json()
    [use] = [one for one in turn["tool_calls"] if one["tool_call_id"] == call["tool_call_id"]]
    assert use["arguments"] == call["arguments"]
    assert (use["output_text"] is None) == (call["returned_at"] is None)


def test_sql_reads_and_only_reads(client: TestClient) -> None:
    answer = client.post("/api/v1/sql", json={"statement": "SELECT count(*) AS sessions FROM sessions"}).json()
    assert answer == {"columns": ["sessions"], "rows": [[SESSIONS + 1]], "is_cut": False}
    for statement in ("DELETE FROM sessions", "ATTACH 'x.db' AS x", "PRAGMA journal_mode = DELETE", "VACUUM INTO 'x'"):
        refused = client.post("/api/v1/sql", json={"statement": statement})
        assert (refused.status_code, refused.json()["kind"]) == (400, "SqlRefused"), statement
    assert client.post("/api/v1/sql", json={"statment": "SELECT 1"}).status_code == 400
    assert client.post("/api/v1/sql", content=b"x" * 300_000).status_code == 400


def test_stars_tags_views_and_queries_are_kept(home: Path, client: TestClient) -> None:
    session_id = client.get("/api/v1/sessions?limit=1").json()["items"][0]["session_id"]
    client.put(f"/api/v1/sessions/{session_id}/star", json={"is_starred": True})
    client.put(f"/api/v1/sessions/{session_id}/tags", json={"tags": ["to read", " to read ", ""]})
    client.put("/api/v1/views", json={"name": "dear", "address": "/sessions?q=cost:%3E1"})
    client.put("/api/v1/queries", json={"name": "one", "statement": "SELECT 1"})
    found = client.get("/api/v1/marks").json()
    assert found["stars"] == [session_id]
    assert found["tags"] == {session_id: ["to read"]}
    assert [one["name"] for one in found["views"] + found["queries"]] == ["dear", "one"]
    assert client.get(f"/api/v1/sessions/{session_id}").json()["is_starred"]
    assert session_id in client.get("/sessions?marked=star").text
    assert session_id in client.get("/sessions?marked=tag:to read").text
    assert oct((home / "dashboard.json").stat().st_mode)[-3:] == "600"
    client.put(f"/api/v1/sessions/{session_id}/star", json={"is_starred": False})
    client.put(f"/api/v1/sessions/{session_id}/tags", json={"tags": []})
    client.request("DELETE", "/api/v1/views", json={"name": "dear"})
    client.request("DELETE", "/api/v1/queries", json={"name": "one"})
    assert client.get("/api/v1/marks").json() == {"stars": [], "tags": {}, "views": [], "queries": []}


@pytest.mark.parametrize("address", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:1", ""])
def test_a_saved_view_leads_nowhere_else(client: TestClient, address: str) -> None:
    assert client.put("/api/v1/views", json={"name": "x", "address": address}).status_code == 400


def test_without_recordings_lists_are_empty(empty: TestClient) -> None:
    for one in ENDPOINTS:
        if one.method == "GET" and "{session_id}" not in one.path and "{request_id}" not in one.path:
            answer = empty.get("/api/v1" + one.path.replace("{field}", "model"))
            assert answer.status_code == 200, one.path
            if one.path not in ("/fields", "/health", "/marks"):
                assert answer.json() in ([], {"items": [], "next": None}), one.path
    assert empty.get("/api/v1/sessions/01a2").status_code == 404


def test_health_says_what_runs_and_every_setting(empty: TestClient) -> None:
    health = empty.get("/api/v1/health").json()
    states = {one["name"]: one["state"] for one in health["checks"]}
    assert states["Relay"] == states["Recorder"] == states["Index"] == "off"
    settings = {one["key"]: one["value"] for one in health["settings"]}
    assert settings["server.port"] == "8081"
    assert settings["upstreams.anthropic"] == "https://api.anthropic.com"


# ---- the document


@pytest.fixture
def document() -> dict[str, Any]:
    return openapi_document()


def test_document_is_served_and_names_every_address(client: TestClient, document: dict[str, Any]) -> None:
    assert client.get("/api/v1/openapi.json").json() == document
    assert {(path, method.upper()) for path, one in document["paths"].items() for method in one} >= {
        (one.path, one.method) for one in ENDPOINTS
    }


def test_document_holds_together(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    references = set(re.findall(r"#/components/schemas/([^'\"]+)", str(document)))
    assert references <= set(schemas)
    ids = [one["operationId"] for path in document["paths"].values() for one in path.values()]
    assert len(ids) == len(set(ids))
    for path, operations in document["paths"].items():
        for one in operations.values():
            named = {parameter["name"] for parameter in one.get("parameters", []) if parameter["in"] == "path"}
            assert named == set(re.findall(r"\{(\w+)\}", path))


def test_answers_are_of_the_described_shape(client: TestClient, document: dict[str, Any]) -> None:
    for path in ("/usage", "/latency", "/tools", "/fields"):
        operation = document["paths"][path]["get"]
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        described = document["components"]["schemas"][schema["items"]["$ref"].rpartition("/")[2]]
        for one in client.get(f"/api/v1{path}").json()[:3]:
            assert set(one) == set(described["properties"])


def test_every_parameter_is_explained() -> None:
    assert {name for one in ENDPOINTS for name in one.parameters} == set(PARAMETERS)
