"""One relay for all tests here that need no settings of their own, with a fresh provider for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.relay import RelayProcess, ScriptedUpstream, started

_PROVIDERS = 240


class SharedRelay:
    """The relay and the providers not used yet: no test meets connections that another one left in the pool."""

    def __init__(self, process: RelayProcess, unused: list[ScriptedUpstream]) -> None:
        self.process = process
        self.unused = unused


@pytest.fixture(scope="session")
def shared_relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedRelay]:
    upstreams = [ScriptedUpstream(f"u{number}") for number in range(_PROVIDERS)]
    home = tmp_path_factory.mktemp("relay")
    with started(home, {upstream.name: upstream.url for upstream in upstreams}) as process:
        yield SharedRelay(process, list(upstreams))
    for upstream in upstreams:
        upstream.close()


@pytest.fixture
def relay(shared_relay: SharedRelay) -> RelayProcess:
    return shared_relay.process


@pytest.fixture
def upstream(shared_relay: SharedRelay) -> Iterator[ScriptedUpstream]:
    """A provider nobody has talked to; `/{name}/…` leads to it."""
    fresh = shared_relay.unused.pop()
    yield fresh
    fresh.close()
