"""The addresses of streams: `/live` for our own pages, `/events` for anybody, by server-sent events or WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from lunaroute.access.guard import TENANT
from lunaroute.errors import LunarouteError

from .api import status_of
from .events import EventStream, Message, as_json, as_server_sent, read_wish
from .openapi import PREFIX, ErrorAnswer
from .site import Site

_GOING_AWAY, _POLICY_VIOLATION = 1001, 1008
_REASON_BYTES = 120


def stream_routes(site: Site) -> list[BaseRoute]:
    async def live(request: Request) -> Response:
        return _stream(site.live.events(request.query_params.get("session"), request.scope.get(TENANT)))

    async def events(request: Request) -> Response:
        try:
            stream = EventStream(site.hub, read_wish(request))
            await stream.begin()
        except (LunarouteError, OSError) as error:
            answer = ErrorAnswer(error=str(error), kind=type(error).__name__)
            return Response(msgspec.json.encode(answer), status_of(error), media_type="application/json")
        return _stream(_server_sent(stream.messages()))

    async def socket_events(socket: WebSocket) -> None:
        await _serve_socket(site, socket)

    return [
        Route(f"{PREFIX}/live", live),
        Route(f"{PREFIX}/events", events),
        WebSocketRoute(f"{PREFIX}/events", socket_events),
    ]


def _stream(blocks: AsyncIterator[bytes]) -> Response:
    return StreamingResponse(blocks, media_type="text/event-stream", headers={"x-accel-buffering": "no"})


async def _server_sent(messages: AsyncGenerator[Message | None]) -> AsyncIterator[bytes]:
    async with aclosing(messages):
        async for message in messages:
            yield as_server_sent(message)


async def _serve_socket(site: Site, socket: WebSocket) -> None:
    """Until the client leaves, or the server ends. What the client says is not listened to."""
    try:
        stream = EventStream(site.hub, read_wish(socket))
        await stream.begin()
        await socket.accept()
    except (LunarouteError, OSError) as error:
        await socket.accept()  # a browser is told nothing of a refusal but that there was one
        await socket.close(_POLICY_VIOLATION, str(error).encode()[:_REASON_BYTES].decode("utf-8", "ignore"))
        return
    sending = asyncio.create_task(_send_all(socket, stream.messages()))
    leaving = asyncio.create_task(_until_gone(socket))
    done, open_ones = await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
    for task in open_ones:
        task.cancel()
    await asyncio.gather(*open_ones, return_exceptions=True)
    if sending in done:
        with suppress(WebSocketDisconnect, RuntimeError):
            sending.result()
            await socket.close(_GOING_AWAY)


async def _send_all(socket: WebSocket, messages: AsyncGenerator[Message | None]) -> None:
    async with aclosing(messages):
        async for message in messages:
            if message is not None:
                await socket.send_text(as_json(message).decode())


async def _until_gone(socket: WebSocket) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
