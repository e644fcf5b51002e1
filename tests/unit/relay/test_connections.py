"""Who may read when: what a slow side holds back is always let go again. Connections over fake transports."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lunaroute.config import Config
from lunaroute.relay.client import ClientConnection
from lunaroute.relay.context import RelayContext
from lunaroute.relay.pool import Pool
from lunaroute.relay.routes import upstream_from_url
from lunaroute.relay.tap import Tap
from lunaroute.relay.upstream import UpstreamConnection
from tests.unit.relay.test_tap import FailingWriter

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET /u/x HTTP/1.1\r\nHost: r\r\n\r\n"
PROVIDER = upstream_from_url("u", "http://127.0.0.1:9")


class FakeTransport(asyncio.Transport):
    """Keeps what is written; nothing leaves by itself."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.written = b""
        self.waiting_bytes = 0
        self.is_reading_now = True
        self.end: str | None = None
        self.slow_after: ClientConnection | None = None
        """Told to pause within the next write, as asyncio's own transports do."""

    def write(self, data: Any) -> None:
        self.written += bytes(data)
        if self.slow_after is not None:
            self.slow_after.pause_writing()

    def writelines(self, pieces: Any) -> None:
        self.write(b"".join(pieces))

    def pause_reading(self) -> None:
        self.is_reading_now = False

    def resume_reading(self) -> None:
        self.is_reading_now = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return self.waiting_bytes

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.end = "eof"

    def is_closing(self) -> bool:
        return self.end in ("close", "abort")

    def close(self) -> None:
        self.end = "close"

    def abort(self) -> None:
        self.end = "abort"


class Setting:
    """A client's connection, and one idle connection to the provider in the pool."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        writer = FailingWriter()
        tap = Tap(writer, "pass", False, lambda: 0, io.StringIO())
        config = Config(home=Path("unused"), upstreams={"u": "http://127.0.0.1:9"})
        self.loop = loop
        self.context = RelayContext(config, "run", b"salt", tap, writer.opening, set(), loop)
        self.context.pool = Pool(self.context)
        self.client = ClientConnection(self.context)
        self.client_side = FakeTransport()
        self.client.connection_made(self.client_side)
        self.provider = UpstreamConnection(self.context, "u")
        self.provider_side = FakeTransport()
        self.provider.connection_made(self.provider_side)
        self.context.pool.give_back(self.provider)

    def from_client(self, data: bytes) -> None:
        """The client's bytes arrive, in a turn of their own."""
        self.client.data_received(data)
        self.turn()

    def from_provider(self, data: bytes) -> None:
        self.provider.data_received(data)
        self.turn()

    def turn(self) -> None:
        """One turn of the event loop."""
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()


@pytest.fixture
def setting() -> Iterator[Setting]:
    loop = asyncio.new_event_loop()
    yield Setting(loop)
    loop.close()


def test_connection_is_given_back_reading_though_its_last_bytes_made_the_client_slow(setting: Setting) -> None:
    setting.from_client(GET)
    setting.client_side.slow_after = setting.client
    setting.from_provider(OK)
    assert setting.client_side.written == OK
    assert setting.context.pool.take(PROVIDER) is setting.provider
    assert setting.provider_side.is_reading_now


def test_slow_client_holds_the_provider_of_its_next_request_too(setting: Setting) -> None:
    setting.from_client(GET + GET)
    setting.from_provider(OK)
    setting.client.pause_writing()
    setting.turn()  # the next request is taken up …
    setting.turn()  # … and passed on
    assert setting.provider_side.written.count(b"GET /x ") == 2
    assert not setting.provider_side.is_reading_now
    setting.client.resume_writing()
    assert setting.provider_side.is_reading_now


def test_client_held_for_a_slow_provider_is_read_again_when_the_exchange_is_over(setting: Setting) -> None:
    setting.from_client(b"POST /u/x HTTP/1.1\r\nHost: r\r\nContent-Length: 3\r\n\r\nabc")
    setting.provider.pause_writing()
    assert not setting.client_side.is_reading_now
    setting.from_provider(OK)
    assert setting.client_side.is_reading_now
    assert setting.context.pool.take(PROVIDER) is None  # it has not read that request yet
    assert setting.provider_side.end == "close"


def test_rest_of_a_request_is_read_while_the_client_is_told_why_it_is_not_wanted(setting: Setting) -> None:
    setting.from_client(b"POST /u/x HTTP/1.1\r\nHost: r\r\nContent-Length: 30\r\n\r\nabc")
    setting.provider.pause_writing()
    setting.provider.connection_lost(ConnectionResetError())
    assert setting.client_side.written.startswith(b"HTTP/1.1 502 ")
    assert setting.client_side.end == "eof"
    assert setting.client_side.is_reading_now


def test_provider_that_ends_without_reading_the_request_is_not_waited_for(setting: Setting) -> None:
    setting.from_client(b"POST /u/x HTTP/1.1\r\nHost: r\r\nContent-Length: 30\r\n\r\nabc")
    setting.provider_side.waiting_bytes = 3
    assert not setting.provider.eof_received()
    assert setting.provider_side.end == "abort"


def test_connection_that_the_provider_has_ended_is_not_handed_out(setting: Setting) -> None:
    setting.provider.eof_received()
    assert setting.context.pool.take(PROVIDER) is None


def test_idle_connections_are_closed_the_oldest_first(setting: Setting) -> None:
    second = UpstreamConnection(setting.context, "u")
    side = FakeTransport()
    second.connection_made(side)
    second.last_ns = 10_000_000_000
    setting.context.pool.give_back(second)
    setting.context.pool.drop_idle(31_000_000_000)
    assert (setting.provider_side.end, side.end) == ("close", None)
    assert setting.context.pool.take(PROVIDER) is second


def test_answer_of_the_relay_to_head_has_no_body(setting: Setting) -> None:
    setting.from_client(GET.replace(b"GET", b"HEAD"))
    setting.provider.connection_lost(None)
    assert setting.client_side.written.startswith(b"HTTP/1.1 502 ")
    assert setting.client_side.written.endswith(b"\r\n\r\n")
    assert setting.client_side.end is None


def test_connection_that_fails_in_a_turn_takes_no_other_with_it(setting: Setting) -> None:
    """Both requests are passed on in one turn, and the first one's provider cannot be written to."""
    broken, sound = setting.provider_side, FakeTransport()
    other = UpstreamConnection(setting.context, "u")
    other.connection_made(sound)
    neighbour = ClientConnection(setting.context)
    neighbour.connection_made(FakeTransport())
    errors: list[object] = []
    setting.loop.set_exception_handler(lambda _, context: errors.append(context["exception"]))

    def refuse(_: object) -> None:
        raise RuntimeError("the handler is closed")

    broken.write = refuse  # type: ignore[method-assign]
    setting.client.data_received(GET)
    neighbour.data_received(GET)
    setting.turn()
    setting.context.pool.give_back(other)
    setting.turn()
    assert [str(error) for error in errors] == ["the handler is closed"]
    assert sound.written.startswith(b"GET /x ")
