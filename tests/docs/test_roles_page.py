"""docs/roles.md: its settings are settings, and what it says of tokens is so."""

from __future__ import annotations

import re
from pathlib import Path

from click.testing import CliRunner

from lunaroute.access.policy import access_token, tenant_token
from lunaroute.cli import cli
from lunaroute.config_file import load_config
from lunaroute.relay.salt import load_salt

from .snippets import REPOSITORY


def test_the_settings_on_the_page_can_be_loaded(tmp_path: Path) -> None:
    page = (REPOSITORY / "docs/roles.md").read_text()
    (settings,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "config.toml").write_text(settings)
    tenants = load_config({"home": str(tmp_path)}, {}).tenants
    assert tenants.rules == ("credential", "header:x-team", "tag:team-")
    assert tenants.limits["research"].requests_per_minute == 6000


def test_tokens_are_printed_and_stay_the_same(tmp_path: Path) -> None:
    def token(*more: str) -> str:
        found = CliRunner().invoke(cli, ["token", "--home", str(tmp_path), *more])
        assert found.exit_code == 0, found.output
        return found.output.strip()

    assert token() == token() == access_token(load_salt(tmp_path))
    assert token("--tenant", "research") == tenant_token(load_salt(tmp_path), "research")


def test_a_token_that_was_taken_back_is_followed_by_another(tmp_path: Path) -> None:
    def said(*more: str) -> str:
        found = CliRunner().invoke(cli, ["token", "--home", str(tmp_path), *more])
        assert found.exit_code == 0, found.output
        return found.output.strip()

    tenants = ("research", "sales")
    before = [said(), *(said("--tenant", one) for one in tenants)]
    assert "within a second" in said("--tenant", "research", "--revoke")
    after = [said(), *(said("--tenant", one) for one in tenants)]
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, False, True]
    said("--revoke")
    assert (said() == before[0], said("--tenant", "research") == after[1]) == (False, True)
