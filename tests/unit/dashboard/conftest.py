"""A dashboard without a network: Starlette's client around the application."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from lunaroute.config import Config
from lunaroute.dashboard.app import make_app
from tests.dashboard_store import add_scripts, hostile_script, make_home

ORIGIN = "http://127.0.0.1:8082"


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = make_home(tmp_path_factory.mktemp("dashboard") / "home")
    add_scripts(home, hostile_script())
    return home


@pytest.fixture
def client(home: Path) -> Iterator[TestClient]:
    app, site = make_app(Config(home=home))
    with TestClient(app, base_url=ORIGIN) as client:
        yield client
    site.recordings.close()


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[TestClient]:
    """Nothing was recorded yet."""
    app, _ = make_app(Config(home=tmp_path))
    with TestClient(app, base_url=ORIGIN) as client:
        yield client
