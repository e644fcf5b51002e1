"""Nothing is tested that is not what the sources say."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from hypothesis import settings

from lunaroute.compiled import stale_modules
from lunaroute.encryption.keys import KEY_VARIABLE, look_for_keys
from tests.support.clickhouse import ChdbServer, ClickHouseServer
from tests.support.cluster import ClickHouseCluster
from tests.support.postgres import PostgresServer, find_postgres
from tests.support.zookeeper import has_zookeeper

settings.register_profile("any machine", deadline=None)  # a slow one is no failure
settings.load_profile("any machine")


def pytest_sessionstart() -> None:
    stale = stale_modules()
    if stale:
        pytest.exit(f"compiled from older sources: {stale[0].name}; run `make compile`", returncode=2)


@pytest.fixture
def encrypted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A key is there, for this process and for those that it starts."""
    monkeypatch.setenv(KEY_VARIABLE, "42" * 32)
    look_for_keys()
    yield
    monkeypatch.undo()
    look_for_keys()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    pytest.importorskip("asyncpg", reason="needs asyncpg (make test-fleet installs it)")
    programs = find_postgres()
    if programs is None:
        pytest.skip("needs PostgreSQL's server (Debian: apt-get install postgresql)")
    with PostgresServer(programs) as server:
        yield server


@pytest.fixture(scope="session")
def old_clickhouse() -> Iterator[ClickHouseServer]:
    if shutil.which("clickhouse-server") is None:
        pytest.skip("needs clickhouse-server (Debian: apt-get install clickhouse-server)")
    with ClickHouseServer() as server:
        yield server


@pytest.fixture(scope="session")
def new_clickhouse() -> Iterator[ChdbServer]:
    pytest.importorskip("chdb", reason="needs chdb (make test-fleet installs it)")
    with ChdbServer() as server:
        yield server


@pytest.fixture(scope="session")
def clickhouse_cluster() -> Iterator[ClickHouseCluster]:
    if shutil.which("clickhouse-server") is None or not has_zookeeper():
        pytest.skip("needs clickhouse-server and ZooKeeper (Debian: apt-get install clickhouse-server zookeeper)")
    with ClickHouseCluster() as cluster:
        yield cluster
