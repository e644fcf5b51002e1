"""The official SDK's WebSockets see the same through the relay as without it, and are recorded turn by turn."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import openai
import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.server import ServerConnection, serve

from lunaroute.events.bodies import request_bytes, response_bytes
from lunaroute.simulator import LedgerEntry, start_simulator
from tests.support.server import RecordedExchange, RecordedSession, recorded, serving, sessions

SEED = "websocket"
_SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
TOOLS: list[Any] = [{"type": "function", "name": "read_file", "parameters": _SCHEMA, "strict": False}]
_TIMES = {"created_at", "completed_at"}
ENDS = ("response.completed", "error")


def plain(value: Any) -> Any:
    if hasattr(value, "to_dict"):
        value = value.to_dict(mode="json")
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if key not in _TIMES}
    return [plain(item) for item in value] if isinstance(value, list) else value


def client(base_url: str) -> openai.OpenAI:
    return openai.OpenAI(api_key="dummy", base_url=f"{base_url}/v1", max_retries=0)


def answer(connection: Any) -> list[Any]:
    events: list[Any] = []
    while not events or events[-1]["type"] not in ENDS:
        events.append(plain(connection.recv()))
    return events


# ---- what people do ---------------------------------------------------------------------------------------------


def agent_turns(base_url: str) -> list[Any]:
    """A prewarm, a question, the tools' results: each goes on from the one before it."""
    told = []
    with client(base_url) as gpt, gpt.responses.connect() as connection:
        create = connection.response.create
        fields: dict[str, Any] = {"model": "gpt-5", "tools": TOOLS, "store": False, "reasoning": {"summary": "auto"}}
        create(input="Be brief.", generate=False, **fields)
        told.append(answer(connection))
        create(input="What is wrong with the cart?", previous_response_id=told[-1][-1]["response"]["id"], **fields)
        told.append(answer(connection))
        response = told[-1][-1]["response"]
        outputs: Any = [
            {"type": "function_call_output", "call_id": item["call_id"], "output": "two items"}
            for item in response["output"]
            if item["type"] == "function_call"
        ]
        create(input=outputs, previous_response_id=response["id"], **fields)
        told.append(answer(connection))
    return told


def lanes(base_url: str) -> list[Any]:
    async def run() -> list[Any]:
        told: dict[str, list[Any]] = {"one": [], "two": [], "": []}
        async with (
            openai.AsyncOpenAI(api_key="dummy", base_url=f"{base_url}/v1") as gpt,
            gpt.responses.connect() as connection,
        ):
            for lane in told:
                named: Any = {"stream_id": lane} if lane else {}
                await connection.response.create(model="gpt-4.1", input=f"question of lane {lane!r}", **named)
            while sum(events[-1]["type"] in ENDS if events else False for events in told.values()) < 3:
                event = plain(await connection.recv())
                told[event.get("stream_id") or ""].append(event)
        return list(told.values())

    # Which of them got which ids is chance.
    return [[_without_ids(event) for event in events] for events in asyncio.run(run())]


def _without_ids(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_ids(item) for key, item in value.items() if key not in ("id", "item_id")}
    return [_without_ids(item) for item in value] if isinstance(value, list) else value


def many_sizes(base_url: str) -> list[Any]:
    """Messages of all frame lengths, both ways."""
    told = []
    with client(base_url) as gpt, gpt.responses.connect() as connection:
        for size in (1, 100, 130, 70_000, 1_000_000):
            # The answer repeats the instructions in three of its messages.
            connection.response.create(model="gpt-4.1", input=f"{size}", instructions="x" * size)
            told.append(answer(connection)[-1])
    return told


def troubles(base_url: str) -> list[Any]:
    told: list[Any] = []
    with client(base_url) as gpt:
        with gpt.responses.connect() as connection:
            for text in ("[[simulate: status=429]]", "[[simulate: error_event_after=5]]", "fine after all"):
                connection.response.create(model="gpt-4.1", input=text)
                told.append(answer(connection))
        for directive in ("cut_after=2500", "cut_after=2500; reset", "end_after=2500"):
            with gpt.responses.connect() as connection:
                connection.response.create(model="gpt-4.1", input=f"cut [[simulate: {directive}]]")
                told.append(_until_cut(connection))
    return told


def _until_cut(connection: Any) -> list[Any]:
    events: list[Any] = []
    try:
        while True:
            events.append(plain(connection.recv()))
    except ConnectionClosedError as error:
        return [*events, error.rcvd and (error.rcvd.code, error.rcvd.reason)]


SCENARIOS: dict[str, Callable[[str], list[Any]]] = {
    scenario.__name__: scenario for scenario in (agent_turns, lanes, many_sizes, troubles)
}


class Both(msgspec.Struct, kw_only=True):
    direct: dict[str, list[Any]]
    relayed: dict[str, list[Any]]
    direct_ledger: list[LedgerEntry]
    relayed_ledger: list[LedgerEntry]
    sessions: list[RecordedSession]

    @property
    def turns(self) -> list[RecordedExchange]:
        found = [one for session in self.sessions for one in session.exchanges()]
        return [one for one in found if one.request.websocket is not None and one.request.websocket.is_turn]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    home = tmp_path_factory.mktemp("websocket") / "home"
    with (
        start_simulator(seed=SEED) as alone,
        start_simulator(seed=SEED) as behind,
        serving(home, {"openai": behind.base_url}) as server,
    ):
        direct = {name: scenario(alone.base_url) for name, scenario in SCENARIOS.items()}
        relayed = {name: scenario(server.base_url) for name, scenario in SCENARIOS.items()}
        ledgers = alone.ledger(), behind.ledger()
    return Both(
        direct=direct,
        relayed=relayed,
        direct_ledger=ledgers[0],
        relayed_ledger=ledgers[1],
        sessions=sessions(home),
    )


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_sdk_gets_the_same_through_the_relay(both: Both, name: str) -> None:
    assert both.direct[name]
    assert both.relayed[name] == both.direct[name]


def test_the_provider_gets_what_the_sdk_sent(both: Both) -> None:
    assert len(both.direct_ledger) > 15
    assert [_sent(entry) for entry in both.relayed_ledger] == [_sent(entry) for entry in both.direct_ledger]


def _sent(entry: LedgerEntry) -> tuple[Any, ...]:
    """All but Host and the socket's own key."""
    headers = [(k, v) for k, v in entry.request_headers if k.lower() not in ("host", "sec-websocket-key")]
    return entry.method, entry.target, headers, entry.request_bytes, entry.request_sha256


def test_every_turn_is_recorded_as_the_provider_served_it(both: Both) -> None:
    served = [entry for entry in both.relayed_ledger if entry.request_bytes]
    by_hash = {one.request.body_sha256: one for one in both.turns}
    assert len(by_hash) == len(both.turns) == len(served)
    for entry in served:
        found = by_hash[entry.request_sha256]
        request, response = found.request, found.response
        assert hashlib.sha256(request_bytes(request)).hexdigest() == entry.request_sha256
        assert hashlib.sha256(response_bytes(response)).hexdigest() == entry.response_sha256
        assert (request.body_sha256, response.body_sha256) == (entry.request_sha256, entry.response_sha256)
        assert (request.method, request.target, request.dialect) == ("GET", entry.target, "openai_responses")
        assert response.outcome == _outcome(entry), entry
        if entry.outcome == "completed" and response.outcome == "completed":
            assert (response.response_id, response.response_text) == (entry.response_id, _told(entry, found))
            assert response.stats.usage_raw == entry.usage
            assert response.status_code == 101


def _told(entry: LedgerEntry, found: RecordedExchange) -> str:
    return "" if found.request.is_prewarm else entry.text


def _outcome(entry: LedgerEntry) -> str:
    if entry.outcome == "cut":
        return "upstream_cut"
    if "status" in entry.directives or "error_event_after" in entry.directives:
        return "stream_error"
    return "completed"


def test_a_chain_of_responses_is_one_session_and_its_prewarm_is_marked(both: Both) -> None:
    session = next(one for one in both.sessions if one.exchanges()[0].request.is_prewarm)
    found = session.exchanges()
    assert [one.request.is_prewarm for one in found] == [True, False, False]
    assert [one.request.request_text for one in found] == ["", "What is wrong with the cart?", ""]
    assert found[0].response.stats.provider_latency_ms is None
    assert all((one.response.stats.provider_latency_ms or 0) > 0 for one in found[1:])
    assert len({one.request.websocket.connection_id for one in found if one.request.websocket}) == 1
    assert session.completed.final_stats.request_count == 3
    assert session.completed.final_stats.tool_summary.total_calls == len(found[1].response.stats.tool_calls) > 0


def test_lanes_and_troubles_are_told_apart(both: Both) -> None:
    named = {one.request.websocket.stream_id for one in both.turns if one.request.websocket}
    assert named == {None, "one", "two"}
    statuses = [one.response.status_code for one in both.turns if one.response.outcome == "stream_error"]
    assert sorted(status or 0 for status in statuses) == [101, 429]
    cut = [one.response for one in both.turns if one.response.outcome == "upstream_cut"]
    assert len(cut) == 3
    assert any("1011 ended as asked" in str(one.error and one.error.message) for one in cut)


# ---- live -------------------------------------------------------------------------------------------------------


def test_turns_are_in_the_index_while_their_socket_is_open(tmp_path: Path) -> None:
    with (
        start_simulator() as provider,
        serving(tmp_path / "home", {"openai": provider.base_url}) as server,
        client(server.base_url) as gpt,
        gpt.responses.connect() as connection,
    ):
        for number in range(3):
            connection.response.create(model="gpt-4.1", input=f"question {number}")
            answer(connection)
            recorded(tmp_path / "home", number + 1)
    assert len([one for session in sessions(tmp_path / "home") for one in session.exchanges()]) == 3


# ---- other protocols, and refusals ------------------------------------------------------------------------------


@contextmanager
def realtime_provider() -> Iterator[str]:
    def talk(connection: ServerConnection) -> None:
        connection.send(json.dumps({"type": "session.created", "event_id": "e1", "session": {"id": "sess_1"}}))
        for message in connection:
            kind = json.loads(message)["type"]
            connection.send(json.dumps({"type": "response.done", "event_id": kind, "response": {"id": "resp_1"}}))

    with serve(talk, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()
        thread.join()


def realtime(base_url: str) -> list[Any]:
    with client(base_url) as gpt, gpt.realtime.connect(model="gpt-realtime") as connection:
        told = [plain(connection.recv())]
        connection.session.update(session={"type": "realtime", "instructions": "Be brief."})
        told.append(plain(connection.recv()))
        connection.response.create()
        return [*told, plain(connection.recv())]


def test_realtime_passes_and_is_recorded_whole(tmp_path: Path) -> None:
    with realtime_provider() as provider, serving(tmp_path / "home", {"openai": provider}) as server:
        assert realtime(server.base_url) == realtime(provider)
    ((only,),) = [session.exchanges() for session in sessions(tmp_path / "home")]
    assert (only.request.dialect, only.request.target) == ("unknown", "/v1/realtime?model=gpt-realtime")
    sent = [json.loads(line)["type"] for line in request_bytes(only.request).splitlines()]
    told = [json.loads(line)["type"] for line in response_bytes(only.response).splitlines()]
    assert sent == ["session.update", "response.create"]
    assert told == ["session.created", "response.done", "response.done"]
    assert (only.response.outcome, only.response.status_code) == ("completed", 101)


REFUSALS = {404: 426, 405: 426, 426: 426, 401: 401, 500: 500}
"""What a provider answers → what the client is told."""


def test_refusals_reach_the_client_as_what_they_mean(tmp_path: Path) -> None:
    with start_simulator() as provider, serving(tmp_path / "home", {"openai": provider.base_url}) as server:
        for status, told in REFUSALS.items():
            assert (_refused(provider.base_url, status), _refused(server.base_url, status)) == (status, told)
    found = [one.response for session in sessions(tmp_path / "home") for one in session.exchanges()]
    assert sorted(one.status_code or 0 for one in found) == sorted(REFUSALS)
    assert {(one.outcome, one.success) for one in found} == {("http_error", False)}


def _refused(base_url: str, status: int) -> int:
    with client(base_url) as gpt:
        manager = gpt.responses.connect(extra_headers={"x-simulate": f"status={status}"})
        with pytest.raises(InvalidStatus) as refused:
            manager.enter()
    return int(refused.value.response.status_code)
