"""Roles: what each consists of, and which of them a home can have at once."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from lunaroute.config import Config, DashboardConfig, Role, ServerConfig
from lunaroute.errors import ConfigError, StartError
from lunaroute.supervisor.announce import announcement
from lunaroute.supervisor.background import ensure_running
from lunaroute.supervisor.instance import InstanceLock
from lunaroute.supervisor.roles import holders, parts_of, refuse_senseless

from .server_process import fake_server_command, running, start, wait_until


def _config(home: Path, role: Role, **more: Any) -> Config:
    return Config(home=home, server=ServerConfig(role=role), **more)


def test_roles_are_parts_of_the_whole() -> None:
    roles: tuple[Role, ...] = ("relay", "recorder", "web")
    parts = [parts_of(role) for role in roles]
    assert [(one.relay, one.recorder, one.web) for one in parts] == [
        (True, False, False),
        (False, True, False),
        (False, False, True),
    ]
    whole = parts_of("all")
    assert (whole.relay, whole.recorder, whole.web) == (True, True, True)


@pytest.mark.parametrize(
    ("role", "flags", "line"),
    [
        ("recorder", {"port": 1}, "--port is for the relay, and --role recorder has none"),
        ("web", {"upstream": ("a=http://b",)}, "--upstream is for the relay, and --role web has none"),
        ("web", {"workers": 2}, "--workers is for the relay, and --role web has none"),
        ("relay", {"ui_port": 1}, "--ui-port is for the dashboard, and --role relay has none"),
    ],
)
def test_a_flag_that_the_role_has_no_use_for_is_refused(
    tmp_path: Path, role: Role, flags: dict[str, Any], line: str
) -> None:
    with pytest.raises(ConfigError, match=line):
        refuse_senseless(_config(tmp_path, role), flags)


def test_flags_that_make_sense_are_not_refused(tmp_path: Path) -> None:
    refuse_senseless(_config(tmp_path, "relay"), {"port": 1, "workers": 2, "upstream": (), "ui_port": None})
    refuse_senseless(_config(tmp_path, "web"), {"ui_port": 0, "upstream": (), "port": None})
    refuse_senseless(_config(tmp_path, "all"), {"port": 1, "ui_port": 2})


def test_a_dashboard_that_is_switched_off_is_no_role(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="enabled is false"):
        refuse_senseless(_config(tmp_path, "web", dashboard=DashboardConfig(enabled=False)), {})


def _lock(run_dir: Path, role: Role) -> ExitStack:
    with ExitStack() as held:
        for name in parts_of(role).lock_files:
            held.callback(InstanceLock(run_dir, name).release)
        return held.pop_all()


def test_each_part_of_a_home_is_there_once(tmp_path: Path) -> None:
    relay, recorder, web = (_lock(tmp_path, role) for role in ("relay", "recorder", "web"))
    assert list(holders(tmp_path)) == ["relay", "recorder", "web"]
    assert set(holders(tmp_path).values()) == {os.getpid()}
    relay.close()
    with pytest.raises(StartError, match=r"a recorder for .* is already running"):
        _lock(tmp_path, "all")
    recorder.close()
    _lock(tmp_path, "all").close()  # beside a dashboard of its own
    with pytest.raises(StartError, match=r"a dashboard for .* is already running"):
        _lock(tmp_path, "web")
    web.close()
    assert not any(holders(tmp_path).values())


def test_a_background_server_without_a_relay_is_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"server\.role = recorder starts none"):
        ensure_running(_config(tmp_path / "home", "recorder"), ["/bin/false"], print)


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("relay", ["listens on http://127.0.0.1:8081", "waits in", "point clients at it"]),
        ("recorder", ["records what passes through", "recordings go to"]),
        ("web", ["shows recordings", "look at them: http://127.0.0.1:8082/"]),
    ],
)
def test_each_says_what_it_does(tmp_path: Path, role: Role, expected: list[str]) -> None:
    lines = announcement(_config(tmp_path, role), 7, has_dashboard=role == "web")
    assert len(lines) == len(expected)
    for line, part in zip(lines, expected, strict=True):
        assert part in line


def test_a_relay_alone_starts_no_recorder_and_a_recorder_alone_no_relay(tmp_path: Path) -> None:
    with running(fake_server_command(tmp_path, 0, 1, 0.2, "role=relay")) as relay:
        assert relay.get()["run_id"] == relay.info.run_id
        assert relay.journal == []
        recorder = start(fake_server_command(tmp_path, 0, 1, 0.2, "role=recorder"))
        try:
            wait_until(lambda: len(relay.journal) == 1)
            assert relay.end() != ""
            assert relay.journal[1:] == ["relay 0 stopped"]
        finally:
            recorder.terminate()
            said = recorder.communicate(timeout=15)[1]
    assert recorder.returncode == 0
    assert "records what passes through" in said
    assert relay.journal[-1].startswith("recorder stopped")
