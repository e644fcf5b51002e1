"""The life of a server: what holds from its start to its end, whoever dies in between."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import stat
from pathlib import Path

from lunaroute.supervisor.instance import find_server
from lunaroute.supervisor.limits import MOST_FILES

from .server_process import fake_server_command, is_alive, running, start, wait_until


def test_ready_server_answers_and_says_where_it_is(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with running(fake_server_command(home)) as server:
        written = json.loads((home / "run" / "server.json").read_bytes())
        assert set(written) == {
            *("pid", "host", "port", "ui_port", "run_id", "version", "started_at", "workers", "home")
        }
        assert written["pid"] == server.process.pid
        assert server.get()["run_id"] == written["run_id"]
        said = server.end()
        assert f"listens on http://127.0.0.1:{written['port']}" in said
        assert f"recordings go to {home}/sessions" in said
        assert f'eval "$(lunaroute env --home {home})"' in said
    assert server.process.returncode == 0
    assert not (home / "run" / "server.json").exists()
    assert find_server(home / "run") is None


def test_home_is_private(tmp_path: Path) -> None:
    home = tmp_path / "deep" / "home"
    with running(fake_server_command(home)):
        for folder in (home, *(home / name for name in ("run", "spool", "sessions", "recorder"))):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder
        assert stat.S_IMODE((home / "run" / "server.json").stat().st_mode) == 0o600


def test_every_worker_takes_traffic_of_the_one_port(tmp_path: Path) -> None:
    with running(fake_server_command(tmp_path, 0, 3)) as server:
        seen: set[int] = set()
        for _ in range(300):
            seen.add(server.get()["worker"])
            if len(seen) == 3:
                break
        assert seen == {0, 1, 2}


def test_relays_may_have_as_many_sockets_as_the_system_allows(tmp_path: Path) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = min(hard, MOST_FILES) if hard != resource.RLIM_INFINITY else MOST_FILES
    few = ["sh", "-c", 'ulimit -Sn 256 && exec "$@"', "sh", *fake_server_command(tmp_path)]
    with running(few, tmp_path) as server:
        assert server.get()["most_files"] == allowed > 256


def test_no_connection_is_refused_while_a_worker_restarts(tmp_path: Path) -> None:
    with running(fake_server_command(tmp_path)) as server:
        first_pid = server.get()["pid"]
        server.make_worker_exit()
        assert server.get()["pid"] != first_pid
        assert server.get()["run_id"] == server.info.run_id
        said = server.end()
    assert re.search(r"relay worker 0 ended \(exit code 3\); starting it again in 0\.1 s", said)


def test_killed_recorder_is_started_again_and_runs_with_low_priority(tmp_path: Path) -> None:
    with running(fake_server_command(tmp_path)) as server:
        wait_until(lambda: len(server.journal) == 1)
        os.kill(int(server.journal[0].split()[-1]), signal.SIGKILL)
        wait_until(lambda: len(server.journal) == 2)
        said = server.end()
    assert "recorder ended (killed by SIGKILL); starting it again in 0.1 s" in said
    nice = os.getpriority(os.PRIO_PROCESS, 0) + 5
    assert server.journal[-1] == f"recorder stopped nice {min(nice, 19)}"


def test_recorder_stops_after_all_relays(tmp_path: Path) -> None:
    with running(fake_server_command(tmp_path, 0, 2)) as server:
        wait_until(lambda: len(server.journal) == 1)
        up: set[int] = set()  # a relay that is still starting has nothing to say when it stops
        wait_until(lambda: up.add(server.get()["worker"]) or len(up) == 2)
        server.end(signal.SIGINT)
        ends = server.journal[1:]
    assert sorted(ends[:2]) == ["relay 0 stopped", "relay 1 stopped"]
    assert ends[2].startswith("recorder stopped")


def test_recorder_that_is_still_starting_is_not_killed(tmp_path: Path) -> None:
    (tmp_path / "slow").touch()
    with running(fake_server_command(tmp_path)) as server:
        server.end()
    assert server.journal[-1].startswith("recorder stopped")


def test_recorder_that_is_between_two_starts_is_started_to_record_the_rest(tmp_path: Path) -> None:
    with running(fake_server_command(tmp_path)) as server:
        for start_count in (1, 2, 3):  # each pause before the next start is longer
            wait_until(lambda count=start_count: len(server.journal) == count)  # type: ignore[misc]
            os.kill(int(server.journal[-1].split()[-1]), signal.SIGKILL)
        server.end()
    assert server.journal[-1].startswith("recorder stopped")


def test_relay_that_does_not_stop_is_killed_after_the_grace_period(tmp_path: Path) -> None:
    with running(fake_server_command(tmp_path, 0, 1, -2.5, "deaf")) as server:  # 0.5 s with the supervisor's own 3
        relay_pid = server.get()["pid"]
        wait_until(lambda: len(server.journal) == 1)
        server.end()
    assert server.process.returncode == 0
    assert not is_alive(relay_pid)
    assert server.journal[-1].startswith("recorder stopped")


def test_second_ctrl_c_hurries(tmp_path: Path) -> None:
    with running(fake_server_command(tmp_path, 0, 1, 600, "deaf")) as server:
        relay_pid = server.get()["pid"]
        server.process.send_signal(signal.SIGINT)
        assert server.process.stderr is not None
        for line in server.process.stderr:
            if "waiting for open exchanges" in line:
                break
        server.end(signal.SIGINT)
    assert server.process.returncode == 0
    assert not is_alive(relay_pid)


def test_children_stop_in_order_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    with running(fake_server_command(tmp_path)) as server:
        wait_until(lambda: len(server.journal) == 1)
        server.process.kill()
        wait_until(lambda: len(server.journal) == 3)
        assert sorted(line.partition(" nice")[0] for line in server.journal[1:]) == [
            *("recorder stopped", "relay 0 orphaned")
        ]


def test_server_starts_again_after_it_was_killed(tmp_path: Path) -> None:
    with running(fake_server_command(tmp_path)) as killed:
        info = killed.info
        killed.process.kill()
        killed.process.wait()
        assert find_server(tmp_path / "run") is None
        command = fake_server_command(tmp_path, info.port)
        again = start(command)
        try:
            wait_until(lambda: (server := find_server(tmp_path / "run")) is not None and server.info is not None)
            found = find_server(tmp_path / "run")
            assert found is not None
            assert found.info is not None
            assert (found.pid, found.info.port) == (again.pid, info.port)
            assert found.info.run_id != info.run_id
        finally:
            again.terminate()
            again.communicate(timeout=15)


def test_second_server_on_a_home_is_told_pid_and_port_of_the_first(tmp_path: Path) -> None:
    with running(fake_server_command(tmp_path)) as server:
        second = start(fake_server_command(tmp_path))
        said = second.communicate(timeout=15)[1]
        assert second.returncode == 1
        assert f"already running (pid {server.process.pid}, port {server.info.port})" in said
        assert len(said.splitlines()) == 1
        assert server.get()["run_id"] == server.info.run_id


def test_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    for workers in (1, 2):
        with socket.create_server(("127.0.0.1", 0), reuse_port=True) as foreign:
            port = foreign.getsockname()[1]
            process = start(fake_server_command(tmp_path, port, workers))
            said = process.communicate(timeout=15)[1]
        assert (process.returncode, said) == (
            1,
            f"lunaroute: port {port} is taken by another program; use --port\n",
        )


def test_unwritable_home_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    process = start(fake_server_command(tmp_path / "file" / "home"))
    said = process.communicate(timeout=15)[1]
    assert process.returncode == 1
    assert said.startswith("lunaroute: cannot write to ")
    assert "--home" in said
    assert len(said.splitlines()) == 1


def test_relay_that_never_starts_ends_the_server(tmp_path: Path) -> None:
    process = start(fake_server_command(tmp_path, 0, 1, 0.1, "never"))
    said = process.communicate(timeout=15)[1].splitlines()
    assert process.returncode == 1
    assert said[-1] == "lunaroute: the relay does not start; the lines above say why"
    delays_s = [float(line.split()[-2]) for line in said if "starting it again" in line]
    assert delays_s == [0.1, 0.2, 0.4, 0.8, 1.6]
    assert not (tmp_path / "run" / "server.json").exists()
