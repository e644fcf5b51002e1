"""The guard around an application: what reaches it, and what every answer carries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from lunaroute.access.guard import CONTENT_SECURITY_POLICY, AccessGuard
from lunaroute.access.policy import COOKIE, AccessPolicy, access_token, tenant_token

TOKEN = access_token(b"s" * 32)


async def _page(request: Request) -> Response:
    headers = {"Content-Security-Policy": "default-src *", "Access-Control-Allow-Origin": "*", "X-Kept": "1"}
    return PlainTextResponse(f"secret {request.url.query}", headers=headers)


async def _cached(_: Request) -> Response:
    return PlainTextResponse("x", headers={"Cache-Control": "max-age=60"})


async def _failing(_: Request) -> Response:
    raise RuntimeError("broken")


async def _socket(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("secret")
    await socket.close()


APP = Starlette(
    routes=[
        Route("/", _page, methods=["GET", "POST"]),
        Route("/cached", _cached),
        Route("/failing", _failing),
        WebSocketRoute("/ws", _socket),
    ]
)


def _ask(
    path: str = "/",
    host: str = "127.0.0.1:8082",
    *,
    kind: str = "http",
    method: str = "GET",
    at: str = "127.0.0.1",
    **headers: str,
) -> list[dict[str, Any]]:
    """What the guarded application sends."""
    policy = AccessPolicy.of(host=at, salt=b"s" * 32)
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    with suppress(RuntimeError):  # the application's own; a server logs it
        return _run(AccessGuard(APP, lambda: policy), _scope(path, host, kind, method, fields), sent := [])
    return sent


def _scope(path: str, host: str, kind: str, method: str, headers: dict[str, str]) -> dict[str, Any]:
    path, _, query = path.partition("?")
    scope: dict[str, Any] = {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "http" if kind == "http" else "ws",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in {"host": host, **headers}.items()],
        "client": ("127.0.0.1", 5),
        "server": ("127.0.0.1", 8082),
    }
    return scope | ({"method": method} if kind == "http" else {"subprotocols": []})


def _run(guard: AccessGuard, scope: dict[str, Any], sent: list[dict[str, Any]] | None = None) -> list[dict[str, Any]]:
    """What is sent, into `sent` where somebody wants it even after a failure."""
    sent = [] if sent is None else sent

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""} if scope["type"] == "http" else {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    asyncio.run(guard(scope, receive, send))
    return sent


def _headers(sent: list[dict[str, Any]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in sent[0]["headers"]:
        found.setdefault(name.decode().lower(), []).append(value.decode())
    return found


def _body(sent: list[dict[str, Any]]) -> bytes:
    return b"".join(message.get("body", b"") for message in sent)


def test_what_may_pass_reaches_the_application() -> None:
    sent = _ask("/?a=1")
    assert (sent[0]["status"], _body(sent)) == (200, b"secret a=1")
    assert _headers(sent)["x-kept"] == ["1"]


@pytest.mark.parametrize("path", ["/", "/cached", "/missing", "/failing"])
def test_every_answer_has_the_strict_policy_and_only_that(path: str) -> None:
    found = _headers(_ask(path))
    assert found["content-security-policy"] == [CONTENT_SECURITY_POLICY]
    assert found["x-content-type-options"] == ["nosniff"]
    assert found["referrer-policy"] == ["no-referrer"]
    assert found["x-frame-options"] == ["DENY"]
    assert "access-control-allow-origin" not in found
    assert found["cache-control"] == ["max-age=60" if path == "/cached" else "no-store"]


def test_the_policy_lets_nothing_in_from_elsewhere_and_no_script_in_a_page() -> None:
    rules = {rule.split()[0]: rule.split()[1:] for rule in CONTENT_SECURITY_POLICY.split("; ")}
    assert rules["default-src"] == ["'none'"]
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == ["'self'"]
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert "http" not in CONTENT_SECURITY_POLICY


@pytest.mark.parametrize(
    ("status", "host", "headers"),
    [
        (421, "evil.example", {}),
        (403, "127.0.0.1:8082", {"origin": "http://evil.example"}),
        (403, "127.0.0.1:8082", {"sec_fetch_site": "cross-site"}),
    ],
)
def test_what_may_not_pass_does_not_reach_it(status: int, host: str, headers: dict[str, str]) -> None:
    for method in ("GET", "POST"):
        sent = _ask(host=host, method=method, **headers)
        assert sent[0]["status"] == status
        assert b"secret" not in _body(sent)
        assert _headers(sent)["content-security-policy"] == [CONTENT_SECURITY_POLICY]
    [refused] = _ask("/ws", host, kind="websocket", **headers)
    assert (refused["type"], refused["code"]) == ("websocket.close", 1008)


def test_a_websocket_of_our_own_page_passes() -> None:
    sent = _ask("/ws", kind="websocket", origin="http://127.0.0.1:8082", sec_fetch_site="same-origin")
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.send", "websocket.close"]


def test_beyond_loopback_a_token_is_asked_for() -> None:
    refused = _ask(host="10.0.0.5:8082", at="0.0.0.0")
    assert (refused[0]["status"], _headers(refused)["www-authenticate"]) == (401, ["Bearer"])
    assert b"secret" not in _body(refused)
    [socket] = _ask("/ws", "10.0.0.5:8082", kind="websocket", at="0.0.0.0")
    assert socket["type"] == "websocket.close"
    for headers in ({"authorization": f"Bearer {TOKEN}"}, {"cookie": f"{COOKIE}={TOKEN}"}):
        assert _ask(host="10.0.0.5:8082", at="0.0.0.0", **headers)[0]["status"] == 200


def test_a_browser_gets_the_token_as_a_cookie_and_an_address_without_it() -> None:
    sent = _ask(f"/sessions?a=1&token={TOKEN}", "10.0.0.5:8082", at="0.0.0.0")
    found = _headers(sent)
    assert (sent[0]["status"], found["location"]) == (303, ["/sessions?a=1"])
    assert found["set-cookie"] == [f"{COOKIE}={TOKEN}; Path=/; HttpOnly; SameSite=Strict"]
    assert found["referrer-policy"] == ["no-referrer"]


@pytest.mark.parametrize("path", ["//evil.example/x", "/\\evil.example", "///evil.example"])
def test_it_sends_nobody_to_another_server(path: str) -> None:
    sent = _ask(f"{path}?token={TOKEN}", "10.0.0.5:8082", at="0.0.0.0")
    assert _headers(sent)["location"][0].startswith("/evil.example")


@pytest.mark.parametrize(("method", "token"), [("GET", "wrong"), ("POST", TOKEN)])
def test_a_wrong_token_or_a_write_with_one_in_the_query_is_refused(method: str, token: str) -> None:
    assert _ask(f"/?token={token}", "10.0.0.5:8082", at="0.0.0.0", method=method)[0]["status"] == 401


def test_the_start_of_an_application_passes_and_unknown_kinds_do_not() -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    guard = AccessGuard(app, lambda: AccessPolicy.of(host="127.0.0.1", salt=b"s"))
    asyncio.run(guard({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="other"):
        asyncio.run(guard({"type": "other"}, None, None))  # type: ignore[arg-type]
    assert seen == ["lifespan"]


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(("revoked", "is_cut"), [("ours", True), ("theirs", False)])
def test_a_stream_ends_when_its_token_is_taken_back(kind: str, revoked: str, is_cut: bool) -> None:
    salt = b"s" * 32
    at = {"host": "0.0.0.0", "salt": salt}
    policy = AccessPolicy.of(**at)  # type: ignore[arg-type]
    seen: list[str] = []

    async def stream() -> AsyncIterator[bytes]:
        nonlocal policy
        yield b"before"
        policy = AccessPolicy.of(**at, revocations={revoked: 1})  # type: ignore[arg-type]
        yield b"after"
        seen.append("went on")

    async def stream_socket(socket: WebSocket) -> None:
        await socket.accept()
        async for piece in stream():
            await socket.send_text(piece.decode())

    async def stream_page(_: Request) -> Response:
        return StreamingResponse(stream())

    app = Starlette(routes=[Route("/", stream_page), WebSocketRoute("/", stream_socket)])
    token = {"authorization": f"Bearer {tenant_token(salt, 'ours')}"}
    guard = AccessGuard(app, lambda: policy)
    sent = _run(guard, _scope("/", "10.0.0.5:8082", kind, "GET", token))
    said = [str(message.get("text") or message.get("body", b"").decode()) for message in sent]
    assert ("before" in said, "after" in said, seen) == (True, not is_cut, [] if is_cut else ["went on"])
    if is_cut:
        last = {"type": "websocket.close", "code": 1008, "reason": ""}
        assert sent[-1] == (last if kind == "websocket" else {"type": "http.response.body", "body": b""})


def test_a_browser_is_told_to_forget_a_token_that_opens_nothing() -> None:
    sent = _ask("/", "10.0.0.5:8082", at="0.0.0.0", cookie=f"{COOKIE}=old")
    assert _headers(sent)["set-cookie"][0].startswith(f"{COOKIE}=; Path=/;")
    assert "Max-Age=0" in _headers(sent)["set-cookie"][0]
