"""Commands, Python and the dashboard ask a store by its URL, and nobody can write through it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from starlette.testclient import TestClient

import lunaroute
from lunaroute.config import Config, QueryConfig
from lunaroute.dashboard.app import make_app
from lunaroute.errors import LunarouteError, SqlRefused, StoreUnavailable
from lunaroute.sinks.clickhouse.sink import ClickHouseSink
from lunaroute.sinks.postgres.sink import PostgresSink
from tests.support.clickhouse import ClickHouseServer
from tests.support.cluster import NAME, ClickHouseCluster
from tests.support.postgres import PostgresServer
from tests.support.server import clean_environment

from .long import only_long
from .stored import make_index, recorded_events, stored_in

pytestmark = pytest.mark.fleet


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("asked")
    make_index(home, recorded_events())
    return home


@pytest.fixture(scope="module")
def on_postgres(postgres: PostgresServer) -> str:
    return stored_in(postgres, PostgresSink, recorded_events())


@pytest.fixture(scope="module")
def on_clickhouse(old_clickhouse: ClickHouseServer) -> str:
    return stored_in(old_clickhouse, ClickHouseSink, recorded_events())


@pytest.fixture(scope="module")
def on_cluster(clickhouse_cluster: ClickHouseCluster) -> str:
    return stored_in(clickhouse_cluster, ClickHouseSink, recorded_events(), cluster=NAME)


@pytest.fixture(params=["postgres", "clickhouse", pytest.param("cluster", marks=only_long)])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"on_{request.param}"))


def _run(*words: str, code: int = 0, **environment: str) -> str:
    command = [sys.executable, "-m", "lunaroute", *words]
    env = {**clean_environment(), **environment}
    done = subprocess.run(command, env=env, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stderr
    return done.stdout or done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("sessions", "list", "model:claude*", "--limit=5"),
        ("stats", "--by=model"),
        ("search", "buy milk"),
        ("latency",),
    ],
    ids=lambda words: words[0],
)
def test_commands_answer_the_same(home: Path, url: str, tmp_path: Path, words: tuple[str, ...]) -> None:
    expected = json.loads(_run(*words, "--json", f"--home={home}"))
    assert expected
    found = json.loads(_run(*words, "--json", f"--home={tmp_path}", f"--store={url}"))
    assert json.dumps(found)[:200] == json.dumps(expected)[:200]
    assert len(found) == len(expected)


def test_the_store_may_come_from_the_settings(url: str, tmp_path: Path) -> None:
    by_variable = _run("tools", "--json", f"--home={tmp_path}", LUNAROUTE_QUERY_STORE=url)
    (tmp_path / "config.toml").write_text(f'[query]\nstore = "{url}"\n')
    assert _run("tools", "--json", f"--home={tmp_path}") == by_variable
    assert len(json.loads(by_variable)) > 3


def test_python_and_sql(home: Path, url: str, tmp_path: Path) -> None:
    with lunaroute.open(tmp_path, store=url) as store, lunaroute.open(home) as own:
        assert len(store.exchanges(limit=None)) == len(own.exchanges(limit=None)) > 100
        assert store.sql("SELECT count(*) AS n FROM sessions").columns == ["n"]
        assert store.sql("SELECT session_id FROM sessions", max_rows=2).is_cut
        for statement in ("DELETE FROM sessions", "DROP TABLE texts", "SELECT 1; SELECT 2", "nonsense"):
            with pytest.raises(SqlRefused):
                store.sql(statement)
        assert len(store.sessions(limit=None)) == len(own.sessions(limit=None))


def test_the_dashboard(home: Path, url: str, tmp_path: Path) -> None:
    answers = []
    for config in (Config(home=home), Config(home=tmp_path, query=QueryConfig(store=url))):
        app, site = make_app(config)
        with TestClient(app, base_url="http://127.0.0.1:8082") as client:
            for page in ("/", "/sessions?q=since:2026-11-01", "/latency", "/tools", "/health", "/sql"):
                assert client.get(page).status_code == 200, page
            found = client.get("/api/v1/sessions?q=since:2026-11-01&limit=7").json()
            answers.append([one["session_id"] for one in found["items"]])
        site.recordings.close()
    assert answers[0] == answers[1] != []


def test_what_cannot_be_asked_says_so_in_one_line(
    postgres: PostgresServer, old_clickhouse: ClickHouseServer, tmp_path: Path
) -> None:
    for server in (postgres, old_clickhouse):
        with pytest.raises(LunarouteError, match="no recordings in this database"):
            lunaroute.open(tmp_path, store=server.new_database())
    for nowhere in ("postgresql://me:secret@127.0.0.1:9/x", "clickhouse://me:secret@127.0.0.1:9/x"):
        with pytest.raises(StoreUnavailable) as caught:
            lunaroute.open(tmp_path, store=nowhere)
        assert "127.0.0.1" in str(caught.value)
        assert "secret" not in str(caught.value)
        assert "\n" not in str(caught.value)
    said = _run("stats", f"--home={tmp_path}", "--store=mysql://x", code=2)
    assert "names no store" in said


def test_events_that_can_never_be_stored_are_given_back_and_hold_up_nobody(
    postgres: PostgresServer, old_clickhouse: ClickHouseServer
) -> None:
    events = recorded_events()[:60]
    broken = events[20]
    events[20] = msgspec.structs.replace(broken, timestamp="yesterday")
    for kind, server in ((PostgresSink, postgres), (ClickHouseSink, old_clickhouse)):
        rejected: list[tuple[str, int]] = []
        sink = kind(server.new_database(), lambda event, _, found=rejected: found.append((event.session_id, event.seq)))
        sink.open()
        sink.write_batch(events)
        sink.write_batch(events)
        sink.close()
        assert set(rejected) == {(broken.session_id, broken.seq)}


@pytest.mark.usefixtures("encrypted")
def test_where_recordings_are_encrypted_nothing_that_was_said_is_stored(
    postgres: PostgresServer, old_clickhouse: ClickHouseServer, tmp_path: Path
) -> None:
    for kind, server in ((PostgresSink, postgres), (ClickHouseSink, old_clickhouse)):
        url = stored_in(server, kind, recorded_events())
        with lunaroute.open(tmp_path, store=url) as store:
            assert len(store.exchanges(limit=None)) > 100
            assert store.sql("SELECT count(*) FROM texts").rows == [(0,)]
            assert {one.first_text for one in store.sessions(limit=None)} == {None}
            assert {one.arguments for one in store.tool_calls(limit=None)} <= {"", "{}"}
