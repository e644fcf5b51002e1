"""Sessions whose file is gone here, or lost its bodies, are shown from the archive."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from lunaroute.archive.compress import compress_all
from lunaroute.archive.push import push
from lunaroute.archive.retention import prune
from lunaroute.archive.store import ArchiveStore
from lunaroute.config import ArchiveConfig, Config, StorageConfig
from lunaroute.dashboard.app import make_app
from tests.builders import SessionScript
from tests.dashboard_store import add_scripts

SAID = "the marmalade is in the cupboard"


@pytest.fixture
def script() -> SessionScript:
    start = datetime.now(UTC) - timedelta(days=2)
    body = b'{"messages":[{"role":"user","content":"where is it?"}]}'
    return SessionScript("jam", start).turn("where is it?", SAID, request_json=body).complete()


@pytest.fixture
def config(tmp_path: Path, script: SessionScript) -> Config:
    config = Config(
        home=tmp_path / "home",
        storage=StorageConfig(delete_bodies_after="1d"),
        archive=ArchiveConfig(url=str(tmp_path / "archive")),
    )
    add_scripts(config.home, script)
    compress_all(config.sessions_dir)
    push(ArchiveStore(str(tmp_path / "archive")), config.sessions_dir)
    return config


def _shown(config: Config, script: SessionScript) -> tuple[str, int]:
    """The session's page, and the status of one exchange's request."""
    app, site = make_app(config)
    try:
        with TestClient(app, base_url="http://127.0.0.1:8082") as client:
            page = client.get(f"/sessions/{script.session_id}")
            raw = client.get(f"/api/v1/exchanges/{script.events[1].request_id}/request")
            assert raw.status_code != 200 or b"where is it?" in raw.content
        return page.text, raw.status_code
    finally:
        site.recordings.close()
        site.fetched.close()


def test_a_session_whose_bodies_were_deleted_is_shown_whole_and_nothing_is_kept(
    config: Config, script: SessionScript
) -> None:
    assert prune(config, datetime.now(UTC)).bodies_deleted == 1
    page, status = _shown(config, script)
    assert SAID in page
    assert status == 200
    assert not list(config.run_dir.glob("fetched-*"))


def test_a_session_whose_file_is_gone_is_shown(config: Config, script: SessionScript) -> None:
    for path in config.sessions_dir.glob("2*/*"):
        path.unlink()
    page, status = _shown(config, script)
    assert SAID in page
    assert status == 200


def test_an_archive_that_does_not_have_it_changes_nothing(
    config: Config, script: SessionScript, tmp_path: Path
) -> None:
    assert prune(config, datetime.now(UTC)).bodies_deleted == 1
    shutil.rmtree(tmp_path / "archive")
    page, status = _shown(config, script)
    assert script.session_id in page
    assert SAID not in page
    assert status != 200


def test_what_was_fetched_is_forgotten_in_time_and_beyond_a_number(
    config: Config, script: SessionScript, monkeypatch: pytest.MonkeyPatch
) -> None:
    import lunaroute.archive.fetched as module

    more = [
        SessionScript(f"jam{number}", script.start + timedelta(minutes=number)).turn().complete() for number in (1, 2)
    ]
    add_scripts(config.home, *more)
    compress_all(config.sessions_dir)
    push(ArchiveStore(str(config.archive.url)), config.sessions_dir)
    for path in config.sessions_dir.glob("2*/*"):
        path.unlink()
    monkeypatch.setattr(module, "_KEPT", 2)
    fetched = module.FetchedSessions(config)
    for one in (script, *more):
        folder = fetched.folder_of(one.session_id)
    assert len(list(folder.glob("2*/*"))) == 2
    monkeypatch.setattr(module, "_KEPT_S", -1.0)
    fetched.folder_of(script.session_id)
    assert len(list(folder.glob("2*/*"))) == 1
    fetched.close()
    assert not folder.exists()
