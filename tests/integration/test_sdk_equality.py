"""The official SDKs see the same through the relay as without it; the provider gets what they sent; the recording
says what the provider served.

Each scenario runs twice, against two simulated providers of one seed: directly, and through a whole server.
"""

from __future__ import annotations

from collections import defaultdict

import msgspec
import pytest

from lunaroute.simulator import LedgerEntry, RunningSimulator, start_simulator
from tests.support.ledger import check_recorded, sent
from tests.support.sdk_scenarios import SCENARIOS, Results
from tests.support.server import RecordedExchange, Server, exchanges, serving, wait_until

SEED = "equal"


class Outcome(msgspec.Struct, kw_only=True):
    """One scenario, both ways."""

    direct: Results
    relayed: Results
    direct_ledger: list[LedgerEntry]
    relayed_ledger: list[LedgerEntry]


class Both(msgspec.Struct, kw_only=True):
    outcomes: dict[str, Outcome]
    recorded: dict[str, list[RecordedExchange]]
    """By the request id that the provider told."""
    headless: dict[str, list[RecordedExchange]]
    """Those that got no response head, by the hash of the request."""


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    home = tmp_path_factory.mktemp("sdk") / "home"
    outcomes = {}
    with (
        start_simulator(seed=SEED) as alone,
        start_simulator(seed=SEED) as behind,
        serving(home, {"anthropic": behind.base_url, "openai": behind.base_url}) as server,
    ):
        for name in SCENARIOS:
            outcomes[name] = _both_ways(name, alone, behind, server)
        ledger_length = len(behind.ledger())
    found = exchanges(home)
    assert len(found) == ledger_length
    recorded: dict[str, list[RecordedExchange]] = defaultdict(list)
    headless: dict[str, list[RecordedExchange]] = defaultdict(list)
    for one in found:
        told = one.response.provider_request_id
        (headless[one.request.body_sha256] if told is None else recorded[told]).append(one)
    return Both(outcomes=outcomes, recorded=recorded, headless=headless)


def _both_ways(name: str, alone: RunningSimulator, behind: RunningSimulator, server: Server) -> Outcome:
    direct_from, relayed_from = len(alone.ledger()), len(behind.ledger())
    scenario = SCENARIOS[name]
    return Outcome(
        direct=scenario(alone.base_url),
        relayed=scenario(server.base_url),
        direct_ledger=_settled(alone)[direct_from:],
        relayed_ledger=_settled(behind)[relayed_from:],
    )


def _settled(simulator: RunningSimulator) -> list[LedgerEntry]:
    """The ledger when the provider has noticed of every client that it has left."""
    wait_until(lambda: all(entry.outcome != "open" for entry in simulator.ledger()))
    return simulator.ledger()


EACH = pytest.mark.parametrize("name", SCENARIOS)


@EACH
def test_the_sdk_gets_the_same_through_the_relay(both: Both, name: str) -> None:
    outcome = both.outcomes[name]
    assert outcome.direct, "a scenario without a result proves nothing"
    assert outcome.relayed == outcome.direct


@EACH
def test_the_provider_gets_what_the_sdk_sent(both: Both, name: str) -> None:
    """Method, target, header fields in order and case, body; Host and hop-by-hop fields apart."""
    outcome = both.outcomes[name]
    direct, relayed = _by_body(outcome.direct_ledger), _by_body(outcome.relayed_ledger)
    assert len(direct) > 0
    assert [sent(entry) for entry in relayed] == [sent(entry) for entry in direct]


def _by_body(ledger: list[LedgerEntry]) -> list[LedgerEntry]:
    """Side by side requests arrive in any order; equal ones (retries) stay in theirs."""
    return sorted(ledger, key=lambda entry: entry.request_sha256)


@EACH
def test_the_recording_is_what_the_provider_served(both: Both, name: str) -> None:
    for entry in both.outcomes[name].relayed_ledger:
        found = _recording_of(entry, both)
        check_recorded(entry, found)


def _recording_of(entry: LedgerEntry, both: Both) -> RecordedExchange:
    if entry.status == 0:  # dropped without an answer; equal requests cannot be told apart, and need not be
        return both.headless[entry.request_sha256][0]
    (found,) = both.recorded[entry.request_id]
    return found
