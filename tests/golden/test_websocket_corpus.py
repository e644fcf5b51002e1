"""What real clients said over WebSockets, said again through a whole server, compressed as they offer it.

The corpus has the clients' messages in full; of the providers' it has ids, outputs and event types, from which answers
of that shape are made.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socket import SHUT_RDWR
from typing import Any

import msgspec
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve

from lunaroute.events.bodies import request_bytes
from tests.corpus import corpus_dir
from tests.support.server import RecordedExchange, RecordedSession, serving, sessions

_OWN_HEADERS = ("host", "connection", "upgrade", "user-agent")


class Said(msgspec.Struct, kw_only=True):
    """One message of a client and what the provider made of it."""

    payload: bytes
    answer: dict[str, Any]


class Connection(msgspec.Struct, kw_only=True):
    """One recorded socket."""

    run: str
    path: str
    headers: list[tuple[str, str]]
    said: list[Said]


def connections() -> list[Connection]:
    found = []
    for path in sorted((corpus_dir() / "clients").glob("*/*/*.json")):
        recorded = json.loads(path.read_bytes())
        if not recorded.get("ws"):
            continue
        frames = recorded["ws"]
        said = [
            Said(payload=json.dumps(frame["body"], separators=(",", ":"), ensure_ascii=False).encode(), answer=answer)
            for frame, answer in zip(frames[::2], frames[1::2], strict=True)
        ]
        assert {frame["dir"] for frame in frames[::2]} == {"c2s"}
        found.append(Connection(run=path.parent.name, path=recorded["path"], headers=recorded["headers"], said=said))
    return found


def events_of(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Messages of the recorded shape; none where the provider had gone in the middle of its answer."""
    if "error" in answer:
        return [{"type": "error", "status": 429, "error": {"type": "rate_limit_error", "message": "slow down"}}]
    response = {"id": answer.get("response_id", "resp_cut"), "object": "response", "model": "gpt-5.2-codex"}
    begun = [{"type": "response.created", "response": {**response, "status": "in_progress", "output": []}}]
    if "types" not in answer:
        return begun
    items = answer.get("output") or []
    usage = {"input_tokens": 100, "output_tokens": 10, "total_tokens": 110}
    done = [{"type": "response.output_item.done", "output_index": n, "item": item} for n, item in enumerate(items)]
    end = {"type": "response.completed", "response": {**response, "status": "completed", "output": [], "usage": usage}}
    return [*begun, *done, end]


@contextmanager
def provider(answers: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Answers each message, by its hash, as the recorded one did."""

    def talk(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            while True:
                message = connection.recv()
                data = message.encode() if isinstance(message, str) else message
                answer = answers[hashlib.sha256(data).hexdigest()]
                for event in events_of(answer):
                    connection.send(json.dumps(event))
                if answer.get("note") == "aborted":
                    connection.socket.shutdown(SHUT_RDWR)

    with serve(talk, "127.0.0.1", 0, max_size=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()
        thread.join()


def say(base_url: str, connection: Connection) -> None:
    headers = [
        (name, value)
        for name, value in connection.headers
        if name.lower() not in _OWN_HEADERS and not name.lower().startswith("sec-websocket")
    ]
    agent = next((value for name, value in connection.headers if name.lower() == "user-agent"), None)
    url = base_url.replace("http:", "ws:") + connection.path
    socket = connect(url, additional_headers=headers, user_agent_header=agent, max_size=None)
    try:
        for said in connection.said:
            socket.send(said.payload.decode())
            for _ in events_of(said.answer):
                socket.recv(timeout=20)
        if connection.said[-1].answer.get("note") == "aborted":
            socket.recv(timeout=20)
    except ConnectionClosed:
        assert connection.said[-1].answer.get("note") == "aborted"
    finally:
        with suppress(OSError):  # the provider was first
            socket.socket.shutdown(SHUT_RDWR)  # as Codex ends it: without a close frame
        socket.close()


class Played(msgspec.Struct, kw_only=True):
    connections: list[Connection]
    sessions: list[RecordedSession]

    def of(self, said: Said) -> RecordedExchange:
        digest = hashlib.sha256(said.payload).hexdigest()
        found = [one for session in self.sessions for one in session.exchanges()]
        (only,) = [one for one in found if one.request.body_sha256 == digest]
        return only


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    found = connections()
    assert len(found) >= 7
    answers = {hashlib.sha256(one.payload).hexdigest(): one.answer for each in found for one in each.said}
    home = tmp_path_factory.mktemp("corpus") / "home"
    with provider(answers) as url, serving(home, {"openai": url}) as server:
        for connection in found:
            say(server.base_url, connection)
    return Played(connections=found, sessions=sessions(home))


def test_every_message_is_an_exchange_with_its_bytes(played: Played) -> None:
    said = [one for connection in played.connections for one in connection.said]
    assert len(said) == sum(len(session.exchanges()) for session in played.sessions)
    for one in said:
        found = played.of(one)
        assert request_bytes(found.request) == one.payload
        assert found.request.dialect == "openai_responses"
        assert found.request.model_requested == json.loads(one.payload)["model"]
        assert found.request.is_prewarm is (json.loads(one.payload).get("generate") is False)


def test_answers_are_what_the_provider_said(played: Played) -> None:
    for connection in played.connections:
        for said in connection.said:
            response = played.of(said).response
            if "error" in said.answer:
                assert (response.outcome, response.status_code) == ("stream_error", 429)
            elif "types" not in said.answer:
                assert response.outcome == "upstream_cut"
            else:
                assert (response.outcome, response.success) == ("completed", True)
                assert response.response_id == said.answer["response_id"]
                kinds = [item["type"] for item in said.answer.get("output") or []]
                assert response.stats.content_blocks == kinds


def test_a_run_is_one_session_and_different_runs_are_different_ones(played: Played) -> None:
    by_run: dict[str, set[str]] = defaultdict(set)
    for connection in played.connections:
        for said in connection.said:
            by_run[connection.run].add(played.of(said).session_id)
    assert {run: len(found) for run, found in by_run.items()} == dict.fromkeys(by_run, 1)
    assert len(set.union(*by_run.values())) == len(by_run)


def test_tool_results_find_their_calls_across_turns(played: Played) -> None:
    results = 0
    for connection in played.connections:
        for said in connection.said:
            items = json.loads(said.payload)["input"]
            results += sum(item["type"].endswith("_call_output") for item in items)
    paired = sum(len(one.completed.final_stats.tool_summary.by_tool) > 0 for one in played.sessions)
    assert results > 5
    assert paired >= 3


def test_the_texts_are_those_of_the_users(played: Played) -> None:
    for connection in played.connections:
        for said in connection.said:
            request = played.of(said).request
            users = [item for item in json.loads(said.payload)["input"] if item.get("role") == "user"]
            if request.is_prewarm or not users:
                assert request.request_text == ""
            else:
                assert users[-1]["content"][-1]["text"].strip() in request.request_text
