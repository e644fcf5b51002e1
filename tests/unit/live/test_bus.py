"""The live socket: everybody who watches is told, nobody can hold the recorder up."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lunaroute.live import bus as bus_module
from lunaroute.live.address import connectable
from lunaroute.live.bus import LiveBus
from lunaroute.live.wakeups import Wakeups
from lunaroute.live.watching import updates
from lunaroute.live.wire import Hello, Update, encode, read_update

from .test_catch_up import Growing

LIMIT_S = 20.0


@pytest.fixture(autouse=True)
def always_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus_module, "LOOK_EVERY_S", 0.0)


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[LiveBus]:
    bus = LiveBus(tmp_path / "run" / "live.sock")
    bus.open()
    yield bus
    bus.close()


Watch = Callable[..., socket.socket]


@pytest.fixture
def watch() -> Iterator[Watch]:
    """A connection to the bus of a home that says this at first."""
    with ExitStack() as stack:

        def connect(home: Path, said: bytes = encode(Hello())) -> socket.socket:
            watcher = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            watcher.settimeout(LIMIT_S)
            with connectable(home / "run" / "live.sock") as address:
                watcher.connect(address)
            watcher.sendall(said)
            return watcher

        yield connect


def _until(bus: LiveBus, flights: dict[str, Growing], condition: Callable[[], bool], feed_end: int = 0) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline
        if bus.is_due():
            bus.send(flights, feed_end)


def _line(watcher: socket.socket) -> Update:
    data = b""
    while not data.endswith(b"\n"):
        data += watcher.recv(1)
    return read_update(data)


def test_watchers_are_told_what_they_lack_and_leave_as_they_like(bus: LiveBus, tmp_path: Path, watch: Watch) -> None:
    assert not bus.is_due()
    growing = Growing()
    growing.say("a", "hello")
    first = watch(tmp_path)
    _until(bus, {"r1": growing}, lambda: bus.wants_exchanges, 5)
    bus.send({"r1": growing}, 5)
    assert _line(first).feed_end == 5
    assert bus.is_due()
    bus.send({"r1": growing}, 5)  # nothing new
    second = watch(tmp_path)
    _until(bus, {"r1": growing}, lambda: len(list(bus.fds())) == 3, 5)
    growing.say("a", " there")
    for _ in range(3):
        assert bus.is_due()
        bus.send({"r1": growing}, 6)
    assert [delta.text for one in _line(first).exchanges for delta in one.deltas] == [" there"]
    assert _line(second).exchanges[0].deltas[0].text.startswith("hello")
    first.close()
    second.close()
    _until(bus, {}, lambda: not bus.is_watched)


def test_who_wants_positions_only_costs_no_reading(bus: LiveBus, tmp_path: Path, watch: Watch) -> None:
    watcher = watch(tmp_path, encode(Hello(with_exchanges=False)))
    _until(bus, {"r1": Growing()}, lambda: bus.is_watched, 3)
    for _ in range(3):
        assert bus.is_due()
        bus.send({"r1": Growing()}, 3)
    assert not bus.wants_exchanges
    assert _line(watcher) == Update(feed_end=3)


def test_one_that_does_not_read_is_left_alone_and_then_gets_the_rest(
    bus: LiveBus, tmp_path: Path, watch: Watch
) -> None:
    growing = Growing()
    lazy = watch(tmp_path)
    _until(bus, {}, lambda: bus.wants_exchanges)
    for number in range(200):
        growing.say("a", f"{number:06d}" * 1000)
        assert bus.is_due()
        bus.send({"r1": growing}, 0)  # never blocks
    expected = "".join(growing.texts["a"])
    received, data = "", b""
    lazy.setblocking(False)
    deadline = time.monotonic() + LIMIT_S
    while received != expected:
        assert time.monotonic() < deadline
        try:
            data += lazy.recv(1 << 20)
        except BlockingIOError:
            assert bus.is_due()
            bus.send({"r1": growing}, 0)
        *lines, data = data.split(b"\n")
        received += "".join(
            delta.text for line in lines for one in read_update(line + b"\n").exchanges for delta in one.deltas
        )


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n\r\n", b"x" * 10_000, b"[]\n"])
def test_who_says_something_else_is_sent_away(bus: LiveBus, tmp_path: Path, said: bytes, watch: Watch) -> None:
    stranger = watch(tmp_path, said)
    stranger.settimeout(0.01)

    def is_sent_away() -> bool:
        try:
            return stranger.recv(1) == b""
        except TimeoutError:
            return False
        except ConnectionResetError:
            return True

    _until(bus, {}, is_sent_away)
    assert not bus.is_watched


def test_only_its_owner_may_watch(bus: LiveBus, tmp_path: Path) -> None:
    assert (tmp_path / "run" / "live.sock").stat().st_mode & 0o777 == 0o600


def test_what_a_killed_recorder_left_is_no_obstacle(bus: LiveBus, tmp_path: Path, watch: Watch) -> None:
    again = LiveBus(tmp_path / "run" / "live.sock")
    again.open()
    watch(tmp_path)
    _until(again, {}, lambda: again.is_watched)
    again.close()


def test_a_home_with_a_long_path_can_be_watched(tmp_path: Path, watch: Watch) -> None:
    deep = tmp_path.joinpath(*["folder" * 5] * 6)
    bus = LiveBus(deep / "run" / "live.sock")
    bus.open()
    watch(deep)
    _until(bus, {}, lambda: bus.is_watched)
    bus.close()


def test_watchers_wait_for_a_recorder_and_for_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "run" / "live.sock"
    heard: list[int | None] = []
    is_alone = asyncio.Event()

    async def watch() -> None:
        async for update in updates(path, Hello()):
            heard.append(None if update is None else update.feed_end)
            is_alone.set()

    async def run() -> None:
        watching = asyncio.create_task(watch())
        await asyncio.wait_for(is_alone.wait(), LIMIT_S)
        for feed_end in (1, 2):
            bus = LiveBus(path)
            bus.open()
            deadline = time.monotonic() + LIMIT_S
            while feed_end not in heard:
                assert time.monotonic() < deadline
                if bus.is_due():
                    bus.send({}, feed_end)
                await asyncio.sleep(0.005)
            bus.close()
        watching.cancel()

    asyncio.run(run())
    assert [one for one in heard if one is not None] == [1, 2]
    assert heard[0] is None  # nobody was there yet


def test_wakeups_come_with_news_and_do_without_a_recorder(bus: LiveBus, tmp_path: Path) -> None:
    path = tmp_path / "run" / "live.sock"
    nobody = Wakeups(tmp_path / "nobody")
    nobody.wait(0.01)
    wakeups = Wakeups(path)
    wakeups.wait(0.01)
    _until(bus, {}, lambda: bus.is_watched)
    for feed_end in (4, 5):
        assert bus.is_due()
        bus.send({}, feed_end)
    began = time.monotonic()
    wakeups.wait(LIMIT_S)
    assert time.monotonic() - began < LIMIT_S
    bus.close()
    wakeups.wait(0.01)
    wakeups.wait(0.01)
    wakeups.close()
