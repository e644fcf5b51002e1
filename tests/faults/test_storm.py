"""Processes killed again and again under traffic, at any moment and at named points: every exchange the provider saw is
recorded exactly once."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lunaroute.simulator import RunningSimulator, start_simulator
from tests.support.crash_points import RECORDER_POINTS, RELAY_POINTS
from tests.support.crashing import CRASH_AT, order, outstanding
from tests.support.faults import Stream
from tests.support.server import wait_until
from tests.support.storm import VICTIMS, Clients, Storm, check_ledger

KILLS = int(os.environ.get("TEST_KILLS", "15"))
"""How many, about; `make test-faults` has 200, with LONG=1 2,000."""
SEED = os.environ.get("TEST_KILLS_SEED", "storm")
_KILLS_PER_ROUND = 200
_ROUNDS = -(-KILLS // _KILLS_PER_ROUND)
_CALM_S = 0.2


@pytest.fixture
def provider() -> Iterator[RunningSimulator]:
    with start_simulator(delay_factor=0.05) as running:
        yield running


def _answers(storm: Storm) -> bool:
    calm = Stream(storm.port, "calm", answer_bytes=50)
    calm.read_to_end()
    return calm.is_whole


@pytest.mark.parametrize("number", range(_ROUNDS))
def test_no_exchange_is_lost_or_recorded_twice_however_often_processes_die(
    provider: RunningSimulator, tmp_path: Path, number: int
) -> None:
    chance = random.Random(f"{SEED} {number}")
    names = list(VICTIMS)
    kills = 0
    with Storm(tmp_path / "home", provider) as storm:
        with Clients(storm) as clients:
            while kills < min(KILLS, _KILLS_PER_ROUND):
                clients.wait_for_more()
                time.sleep(chance.uniform(0, _CALM_S))  # any moment in the life of an exchange
                if not names:
                    names = list(VICTIMS)
                kills += storm.strike(names.pop(chance.randrange(len(names))), chance)
        assert _answers(storm)
    check_ledger(provider, tmp_path / "home", clients, kills)


def test_nothing_is_lost_or_doubled_at_any_named_point(provider: RunningSimulator, tmp_path: Path) -> None:
    chance = random.Random(f"{SEED} at points")
    orders = tmp_path / "orders"
    order(orders, "recorder", [(point, chance.randint(1, 4)) for point in RECORDER_POINTS])
    # A relay's first segment is made before it listens; most of its flushes are in the middle of an exchange.
    order(orders, "relay", [(point, 1 if "segment" in point else chance.randint(2, 30)) for point in RELAY_POINTS])
    home = tmp_path / "home"
    with Storm(home, provider, workers=1, variables={CRASH_AT: str(orders)}) as storm:
        with Clients(storm) as clients:
            wait_until(lambda: not outstanding(orders))
        assert _answers(storm)
    check_ledger(provider, home, clients, len(list(orders.iterdir())))
