"""The shipper's process: a thread per configured sink, and `shipping.json` for those who show how the system does.

It goes on for as long as the recorder writes, and then until what is there has been handed over, or a sink fails.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from lunaroute.config import Config
from lunaroute.events import Event
from lunaroute.recorder.dead_letter import DeadLetter, DeadLetters
from lunaroute.recorder.lock import is_recording
from lunaroute.sinks.plugin import SinkSurroundings

from .delivery import Delivery, DeliveryInfo

INFO_FILE = "shipping.json"
_INFO_S = 1.0
_POLL_S = 0.1


class ShippingInfo(msgspec.Struct, kw_only=True):
    """`shipping.json`."""

    updated_at: float
    """Unix seconds."""
    sinks: dict[str, DeliveryInfo]


def run_shipper(config: Config, alive_fd: int) -> None:
    """Ship until the end of `alive_fd` and that of the recorder."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stop = threading.Event()
    deliveries = {name: _delivery(config, name, stop) for name in config.sinks}
    for delivery in deliveries.values():
        delivery.start()
    watched = [alive_fd] if alive_fd >= 0 else []
    while not select.select(watched, [], [], _INFO_S)[0]:
        _write_info(config.run_dir, deliveries)
    while is_recording(config.recorder_dir):
        time.sleep(_POLL_S)
    stop.set()
    for delivery in deliveries.values():
        delivery.join()
    _write_info(config.run_dir, deliveries)


def read_shipping(run_dir: Path) -> ShippingInfo | None:
    """`shipping.json`, None when there is none."""
    with suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode((run_dir / INFO_FILE).read_bytes(), type=ShippingInfo)
    return None


def _delivery(config: Config, name: str, stop: threading.Event) -> Delivery:
    surroundings = SinkSurroundings(
        name=name,
        state_dir=config.shipping_dir / name,
        run_dir=config.run_dir,
        sessions_dir=config.sessions_dir,
        reject=_rejected_by(name, DeadLetters(config.recorder_dir / "dead-letter")),
    )
    return Delivery(config.sinks[name], surroundings, config.shipping_dir / f"{name}.db", stop)


def _rejected_by(sink: str, dead_letters: DeadLetters) -> Callable[[Event, str], None]:
    def reject(event: Event, reason: str) -> None:
        letter = DeadLetter(reason=f"{sink}: {reason}", event=event, sink=sink)
        print(f"lunaroute: sink {sink}: event {letter.name} was rejected: {reason}", file=sys.stderr, flush=True)
        dead_letters.add(letter)

    return reject


def _write_info(run_dir: Path, deliveries: dict[str, Delivery]) -> None:
    sinks = {name: delivery.info for name, delivery in deliveries.items()}
    aside = run_dir / f"{INFO_FILE}.new"
    with suppress(OSError):  # a full disk must not stop the shipper over its own status
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(msgspec.json.encode(ShippingInfo(updated_at=time.time(), sinks=sinks)))
        os.replace(aside, run_dir / INFO_FILE)
