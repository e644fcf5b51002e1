"""What all connections of one relay process share."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import ssl
import time
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from lunaroute.capture.ids import uuid7_bytes
from lunaroute.capture.records import Opening
from lunaroute.config import Config

from .blocks import BLOCKS_FILE, Blocks
from .credentials import Fingerprinter
from .headers import LineReader, NameKinds
from .limits import LimitBook
from .plans import Planner, RequestPlan
from .routes import Router
from .tap import Tap
from .tenants import TenantRules
from .turn import Turn

if TYPE_CHECKING:
    from .client import ClientConnection
    from .exchange import RelayedExchange
    from .pool import Pool


_FLUSH_S = 0.001


class RelayContext:
    """Settings, the tap, and who is connected."""

    pool: Pool

    def __init__(
        self,
        config: Config,
        run_id: str,
        salt: bytes,
        tap: Tap,
        encode_opening: Callable[[Opening], bytes],
        exchanges: set[RelayedExchange],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.config = config
        self.run_id = run_id
        self.max_head_bytes = config.server.max_head_bytes
        self.adds_headers = config.server.add_headers
        self.tap = tap
        self.turn = Turn(tap, loop.call_soon)
        self.loop = loop
        fingerprint = Fingerprinter(salt)
        self.name_kinds = NameKinds()
        self.lines = LineReader(fingerprint, fingerprint.clean_url)
        tag_headers = frozenset(name.lower().encode() for name in config.sessions.tag_headers)
        self._blocks = Blocks(config.run_dir / BLOCKS_FILE, tag_headers)
        self.is_blocking = self._blocks.look()
        """Whether a rule of the user's keeps anything from passing: asked for each request, so a plain value."""
        rules, limits = TenantRules(config.tenants), LimitBook(config.tenants.limits, config.server.workers)
        router = Router(config.upstreams)
        self.planner = Planner(router, self.lines, fingerprint, tag_headers, rules, limits, encode_opening)
        self.clients: set[ClientConnection] = set()
        self.exchanges = exchanges
        self.is_stopping = False
        self._random_bits = random.Random(os.urandom(32)).getrandbits
        self._numbers = itertools.count(1)
        self._flush_is_scheduled = False

    def next_exchange(self) -> int:
        return next(self._numbers) & 0xFFFFFFFF

    def new_request_id(self, wall_ns: int) -> bytes:
        """A UUIDv7 (RFC 9562 §5.7) as 16 bytes."""
        return uuid7_bytes(wall_ns // 1_000_000, self._random_bits(74))

    def flush_soon(self) -> None:
        """Flush the tap within a millisecond, for what need not be on record before anything else happens; under
        load some other exchange's flush takes it along."""
        if not self._flush_is_scheduled:
            self._flush_is_scheduled = True
            self.loop.call_later(_FLUSH_S, self._flush)

    def _flush(self) -> None:
        self._flush_is_scheduled = False
        self.tap.flush()

    @cached_property
    def tls(self) -> ssl.SSLContext:
        """For providers: the system's trust store, HTTP/1.1 by ALPN."""
        context = ssl.create_default_context()
        context.set_alpn_protocols(["http/1.1"])
        return context

    def block_message(self, plan: RequestPlan) -> str:
        """What the client of a blocked request is told; empty: it may pass."""
        return self._blocks.message_for(plan)

    def sweep(self) -> None:
        """Once a second: time-outs, idle connections, what is blocked, and another try at a spool that failed."""
        self.is_blocking = self._blocks.look()
        self.turn.pass_on()
        now_ns = time.monotonic_ns()
        for exchange in list(self.exchanges):
            exchange.check_timeouts(now_ns)
        for client in list(self.clients):
            client.check_idle(now_ns)
        self.pool.drop_idle(now_ns)
        self.tap.retry()
