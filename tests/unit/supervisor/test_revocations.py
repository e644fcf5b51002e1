"""Tokens that were taken back: what the file says, and when a running dashboard learns of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lunaroute.access.policy import EVERYBODY, access_token, tenant_token
from lunaroute.config import Config, DashboardConfig
from lunaroute.relay.salt import load_salt
from lunaroute.supervisor.dashboard import CurrentPolicy, dashboard_url
from lunaroute.supervisor.revocations import FILE, read_revocations, revoke


def test_each_taking_back_counts_and_only_the_owner_reads_it(tmp_path: Path) -> None:
    assert read_revocations(tmp_path) == {}
    for tenant in ("ours", "theirs", "ours", None):
        revoke(tmp_path, tenant)
    assert read_revocations(tmp_path) == {"ours": 2, "theirs": 1, EVERYBODY: 1}
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_a_line_that_a_power_cut_tore_off_spoils_none_behind_it(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("2026-11-27T20:00:00Z theirs\n2026-11-2")
    revoke(tmp_path, "ours")
    assert read_revocations(tmp_path) == {"theirs": 1, "ours": 1}


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_running_dashboard_looks_every_second(tmp_path: Path) -> None:
    clock = Clock()
    current = CurrentPolicy(Config(home=tmp_path, dashboard=DashboardConfig(host="0.0.0.0")), clock)
    before, token = current(), tenant_token(load_salt(tmp_path), "ours")
    assert before.is_token(token)
    clock.now_s += 5
    assert current() is before
    revoke(tmp_path, "ours")
    assert current() is before
    clock.now_s += 1
    assert not current().is_token(token)
    assert current().is_token(tenant_token(load_salt(tmp_path), "ours", 1))
    assert current() is current()


def test_what_was_known_holds_while_the_file_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    revoke(tmp_path, "ours")
    current = CurrentPolicy(Config(home=tmp_path), clock)
    (tmp_path / FILE).unlink()
    (tmp_path / FILE).mkdir()
    for _ in range(2):  # and is tried again
        clock.now_s += 1
        assert not current().is_token(tenant_token(load_salt(tmp_path), "ours"))
        assert "what was known holds" in capsys.readouterr().err
    (tmp_path / FILE).rmdir()
    revoke(tmp_path, "theirs")
    clock.now_s += 1
    assert not current().is_token(tenant_token(load_salt(tmp_path), "theirs"))


def test_the_printed_address_has_the_token_that_is_good(tmp_path: Path) -> None:
    revoke(tmp_path, None)
    beyond = Config(home=tmp_path, dashboard=DashboardConfig(host="0.0.0.0"))
    assert dashboard_url(beyond, 8082).endswith(f"?token={access_token(load_salt(tmp_path), 1)}")
