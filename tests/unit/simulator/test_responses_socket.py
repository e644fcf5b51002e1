"""The simulated provider speaks WebSocket to a client that others wrote."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.sync.client import ClientConnection, connect

from lunaroute.simulator import RunningSimulator, start_simulator


@pytest.fixture(scope="module")
def simulator() -> Iterator[RunningSimulator]:
    with start_simulator() as running:
        yield running


def url(simulator: RunningSimulator) -> str:
    return simulator.base_url.replace("http:", "ws:") + "/v1/responses"


def create(socket: ClientConnection, text: str, **fields: Any) -> str:
    payload = json.dumps({"type": "response.create", "model": "gpt-5", "input": text, **fields})
    socket.send(payload)
    return payload


def answer(socket: ClientConnection) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    while not events or events[-1]["type"] not in ("response.completed", "error"):
        events.append(json.loads(socket.recv(timeout=10)))
    return events


@pytest.mark.parametrize(
    "factory",
    [
        None,
        ClientPerMessageDeflateFactory(),
        ClientPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True),
    ],
)
def test_turns_go_on_from_each_other_with_and_without_compression(
    simulator: RunningSimulator, factory: ClientPerMessageDeflateFactory | None
) -> None:
    extensions = [] if factory is None else [factory]
    with connect(url(simulator), compression=None, extensions=extensions) as socket:
        assert bool(socket.protocol.extensions) is (factory is not None)
        create(socket, "set up", generate=False, store=False)
        prewarm = answer(socket)
        assert [event["type"] for event in prewarm] == [
            "response.created",
            "response.in_progress",
            "response.completed",
        ]
        assert prewarm[-1]["response"]["output"] == []
        response_id = prewarm[-1]["response"]["id"]
        payload = create(socket, "hello", previous_response_id=response_id)
        told = answer(socket)
        assert told[-1]["response"]["previous_response_id"] == response_id
        assert told[-1]["response"]["output"]
    entry = simulator.ledger()[-1]
    assert entry.request_sha256 == hashlib.sha256(payload.encode()).hexdigest()
    assert (entry.response_id, entry.outcome) == (told[-1]["response"]["id"], "completed")
    assert entry.usage == told[-1]["response"]["usage"]


def test_lanes_are_answered_side_by_side_and_each_in_order(simulator: RunningSimulator) -> None:
    with connect(url(simulator), close_timeout=0.1) as socket:  # what is slow is not waited for
        for number in range(2):
            create(socket, f"slow {number} [[simulate: slow_first_byte_ms=60]]", stream_id="slow")
        create(socket, "quick", stream_id="quick")
        lanes = [json.loads(socket.recv(timeout=10))["stream_id"] for _ in range(3)]
        assert lanes == ["quick"] * 3


def test_errors_cuts_and_refusals(simulator: RunningSimulator) -> None:
    with connect(url(simulator)) as socket:
        create(socket, "no [[simulate: status=429]]")
        (error,) = answer(socket)
        assert (error["type"], error["status"]) == ("error", 429)
        create(socket, "x", previous_response_id="resp_nothing")
        assert answer(socket)[0]["error"]["code"] == "previous_response_not_found"
        socket.send("{}")
        assert answer(socket)[0]["status"] == 400
        create(socket, "cut [[simulate: cut_after=900]]")
        with pytest.raises(ConnectionClosedError):
            answer(socket)
    assert simulator.ledger()[-1].outcome == "cut"
    for status in (404, 426, 500):
        with pytest.raises(InvalidStatus) as refused:
            connect(url(simulator), additional_headers={"x-simulate": f"status={status}"})
        assert refused.value.response.status_code == status
