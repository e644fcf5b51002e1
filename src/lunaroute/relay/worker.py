"""[io] One relay process: socket, event loop, orderly stop. The only module that joins relay and spool."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import signal
import socket
import time
from contextlib import suppress
from typing import cast

import msgspec

from lunaroute import __version__
from lunaroute.capture.records import RelayStarted, RelayStopped
from lunaroute.config import Config
from lunaroute.encryption.keys import keyring
from lunaroute.spool.keeper import Keeper
from lunaroute.spool.writer import SpoolWriter, open_lane

from .client import ClientConnection
from .context import RelayContext
from .exchange import RelayedExchange
from .pool import Pool
from .salt import load_salt
from .tap import Tap

_M_TRIM_THRESHOLD = -1  # <malloc.h>
_M_MMAP_THRESHOLD = -3
_KEEP_BYTES = 32 << 20
_BACKLOG = 4096
_SWEEP_S = 1.0


def run_worker(config: Config, run_id: str, listen_fd: int, alive_fd: int) -> None:
    """Relay until SIGTERM, SIGINT, or the end of `alive_fd` (the supervisor is gone)."""
    _keep_freed_memory()
    try:
        import uvloop
    except ImportError:  # Windows
        asyncio.run(_serve(config, run_id, listen_fd, alive_fd))
    else:
        uvloop.run(_serve(config, run_id, listen_fd, alive_fd))


def _keep_freed_memory() -> None:
    """Have glibc keep up to 32 MiB of freed memory: read buffers come and go by the 256 KB, and handing each back
    to the kernel costs as much in page faults as all else together (docs/performance.md)."""
    with suppress(OSError, AttributeError, TypeError):  # no glibc: nothing to set
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, _KEEP_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, _KEEP_BYTES)


async def _serve(config: Config, run_id: str, listen_fd: int, alive_fd: int) -> None:
    loop = asyncio.get_running_loop()
    recording = config.recording
    ring = keyring()
    seal = ring.seal if ring.is_on else None
    writer = open_lane(config.spool_dir, recording.segment_bytes, recording.spool_max_bytes, seal)
    _begin(writer, run_id)
    exchanges: set[RelayedExchange] = set()
    tap = Tap(writer, recording.on_failure, sync_always=recording.fsync_ms == 0, count_open=exchanges.__len__)
    context = RelayContext(config, run_id, load_salt(config.home), tap, writer.opening, exchanges, loop)
    context.pool = Pool(context)
    keeper = Keeper(writer.lane_dir, writer.segment_bytes)
    stop = _stop_event(loop, alive_fd)
    server = await loop.create_server(
        lambda: cast(asyncio.Protocol, ClientConnection(context)),
        sock=socket.socket(fileno=listen_fd),
        backlog=_BACKLOG,
    )
    upkeep = [loop.create_task(_sweep(context)), loop.create_task(_sync(config, writer, tap, keeper))]
    gc.collect()
    gc.freeze()  # what lives for the process's whole life need not be looked at again
    await stop.wait()
    server.close()
    await _drain(context)
    for task in upkeep:
        task.cancel()
    await asyncio.gather(*upkeep, return_exceptions=True)
    keeper.close()
    with suppress(OSError):
        writer.close([RelayStopped(time.monotonic_ns(), time.time_ns())], time.monotonic_ns())


def _begin(writer: SpoolWriter, run_id: str) -> None:
    """The lane's first records: the relay's start, and what an earlier one could not tell any more."""
    writer.put(RelayStarted(time.monotonic_ns(), time.time_ns(), run_id, os.getpid(), __version__))
    lost = writer.lost_before
    if lost is not None:
        writer.put(msgspec.structs.replace(lost, t_ns=time.monotonic_ns()))
    writer.flush()
    if lost is not None:
        writer.forget_lost()


def _stop_event(loop: asyncio.AbstractEventLoop, alive_fd: int) -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def supervisor_is_gone() -> None:
        loop.remove_reader(alive_fd)
        stop.set()

    if alive_fd >= 0:
        loop.add_reader(alive_fd, supervisor_is_gone)
    return stop


async def _drain(context: RelayContext) -> None:
    """Open exchanges get the grace period, the rest is cut."""
    context.is_stopping = True
    deadline = time.monotonic() + context.config.server.shutdown_grace_s
    context.sweep()
    while context.exchanges and time.monotonic() < deadline:  # noqa: ASYNC110 - rare, and not on the hot path
        await asyncio.sleep(0.02)
    for exchange in list(context.exchanges):
        exchange.stop()
    context.sweep()
    await asyncio.sleep(0.05)  # lets last writes and the tap's flush happen
    context.tap.flush()


async def _sweep(context: RelayContext) -> None:
    while True:
        await asyncio.sleep(_SWEEP_S)
        context.sweep()


async def _sync(config: Config, writer: SpoolWriter, tap: Tap, keeper: Keeper) -> None:
    """fsync beside the event loop, every `fsync_ms` in which something was written."""
    interval_s = config.recording.fsync_ms / 1000
    if interval_s == 0:
        return
    while True:
        await asyncio.sleep(interval_s)
        if writer.is_dirty and tap.is_working:
            try:
                await keeper.sync(writer.take_unsynced())
            except OSError as error:
                tap.fail(error)
