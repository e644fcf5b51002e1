"""The supervisor's parts: spec, child, sockets, instance, health, announcement."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lunaroute.config import Config, ServerConfig
from lunaroute.errors import StartError
from lunaroute.supervisor.announce import announcement
from lunaroute.supervisor.child import Child
from lunaroute.supervisor.health import base_url, is_healthy
from lunaroute.supervisor.instance import INFO_FILE, InstanceLock, find_server
from lunaroute.supervisor.listeners import bind_listeners
from lunaroute.supervisor.spec import WORKER_VARIABLE, WorkerSpec

from .server_process import wait_until


def _spec(home: Path) -> WorkerSpec:
    config = Config(home=home, server=ServerConfig(port=9000), upstreams={"mine": "http://127.0.0.1:1/é"})
    return WorkerSpec(config=config, worker=2, listen_fd=7, run_id="r", alive_fd=9)


def test_child_gets_exactly_the_settings_of_the_supervisor() -> None:
    spec = _spec(Path("/some/where ü"))
    assert WorkerSpec.from_env(spec.to_env()) == spec


@pytest.mark.parametrize("environ", [{}, {WORKER_VARIABLE: "{"}, {WORKER_VARIABLE: '{"worker": 1}'}])
def test_process_without_a_good_spec_gets_one_clear_error(environ: dict[str, str]) -> None:
    with pytest.raises(StartError):
        WorkerSpec.from_env(environ)


def _end_of(child: Child, now_s: float) -> str:
    lines: list[str] = []

    def has_ended() -> bool:
        line = child.reap(now_s)
        if line is not None:
            lines.append(line)
        return bool(lines)

    wait_until(has_ended)
    return lines[0]


def test_delay_doubles_with_short_lives_up_to_five_seconds_and_is_reset_by_a_long_one() -> None:
    child = Child("it", [sys.executable, "-S", "-c", ""], {}, [])
    delays_s = []
    for _ in range(8):
        assert child.start(100.0) is None
        _end_of(child, 101.0)
        assert child.start_at_s is not None
        delays_s.append(round(child.start_at_s - 101.0, 3))
    assert delays_s == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    child.start(200.0)
    _end_of(child, 210.0)
    assert child.start_at_s == pytest.approx(210.1)


def test_delay_is_bounded_however_often_a_child_ends() -> None:
    child = Child("it", ["/does/not/exist"], {}, [])
    for _ in range(2000):
        line = child.start(0.0)
    assert line == "it could not be started (No such file or directory); starting it again in 5.0 s"


def test_end_by_a_signal_is_named() -> None:
    child = Child("it", [sys.executable, "-S", "-c", "import time; time.sleep(60)"], {}, [])
    child.start(0.0)
    child.signal(signal.SIGKILL)
    assert _end_of(child, 1.0) == "it ended (killed by SIGKILL); starting it again in 0.1 s"


def test_listeners_share_one_port() -> None:
    listeners = bind_listeners("127.0.0.1", 0, 3)
    try:
        assert len({listener.getsockname() for listener in listeners}) == 1
        assert all(not os.get_inheritable(listener.fileno()) for listener in listeners)
    finally:
        for listener in listeners:
            listener.close()


def test_port_of_a_server_that_is_just_ending_is_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as ending:
        port = ending.getsockname()[1]
        with pytest.raises(StartError, match=f"port {port} is taken"):
            bind_listeners("127.0.0.1", port, 1)
        timer = threading.Timer(0.2, ending.close)
        timer.start()
        (listener,) = bind_listeners("127.0.0.1", port, 1, patience_s=10.0)
        listener.close()
        timer.join()


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1", "127.0.0.1:8081"])
def test_address_that_is_not_ours_is_named(host: str) -> None:
    with pytest.raises(StartError, match=host):
        bind_listeners(host, 0, 1)


def test_lock_ends_with_its_process(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib; from lunaroute.supervisor.instance import InstanceLock;"
        "lock = InstanceLock(pathlib.Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    found = find_server(tmp_path)
    assert found is not None
    assert (found.pid, found.info) == (holder.pid, None)
    with pytest.raises(StartError, match=f"already running \\(pid {holder.pid}\\)"):
        InstanceLock(tmp_path)
    holder.kill()
    holder.communicate()
    assert find_server(tmp_path) is None
    InstanceLock(tmp_path).release()


def test_pid_in_a_file_left_behind_is_never_believed(tmp_path: Path) -> None:
    (tmp_path / "server.lock").write_text(str(os.getpid()))
    (tmp_path / INFO_FILE).write_text(f'{{"pid": {os.getpid()}}}')
    assert find_server(tmp_path) is None


def _serve_once(answer: bytes) -> tuple[socket.socket, threading.Thread]:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        client, _ = listener.accept()
        with client:
            client.recv(65536)
            client.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    return listener, thread


@pytest.mark.parametrize(
    ("answer", "is_ours"),
    [
        (b'HTTP/1.1 200 OK\r\n\r\n{"status":"ok","run_id":"run-1"}', True),
        (b'HTTP/1.1 503 No\r\n\r\n{"status":"ok","run_id":"run-1"}', False),
        (b'HTTP/1.1 200 OK\r\n\r\n{"status":"ok","run_id":"run-2"}', False),
        (b"", False),
    ],
)
def test_only_a_good_answer_of_this_run_is_healthy(answer: bytes, is_ours: bool) -> None:
    listener, thread = _serve_once(answer)
    with listener:
        assert is_healthy("127.0.0.1", listener.getsockname()[1], "run-1", 5.0) is is_ours
        thread.join()


def test_silent_or_absent_server_is_not_healthy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert not is_healthy("127.0.0.1", port, "run-1", 0.05)
    assert not is_healthy("127.0.0.1", port, "run-1", 0.05)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:81"),
        ("0.0.0.0", "http://127.0.0.1:81"),
        ("::", "http://[::1]:81"),
        ("::1", "http://[::1]:81"),
        ("box.example", "http://box.example:81"),
    ],
)
def test_clients_on_this_machine_get_an_address_they_can_reach(host: str, url: str) -> None:
    assert base_url(host, 81) == url


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_server_on_this_machine_exposes_nothing(host: str) -> None:
    assert len(announcement(Config(home=Path("/h"), server=ServerConfig(host=host)), 1, has_dashboard=False)) == 3


@pytest.mark.parametrize(
    ("host", "where"),
    [("0.0.0.0", "on all addresses"), ("::", "on all addresses"), ("192.168.1.5", "on 192.168.1.5")],
)
def test_server_beyond_this_machine_says_what_it_exposes(host: str, where: str) -> None:
    upstreams = {"anthropic": "https://api.anthropic.com", "ollama": "http://127.0.0.1:11434"}
    lines = announcement(
        Config(home=Path("/h"), server=ServerConfig(host=host), upstreams=upstreams), 1, has_dashboard=False
    )
    exposed, keyless = lines[3:]
    assert where in exposed
    assert "port 8081" in exposed
    assert "anthropic, ollama" in exposed
    assert "http://127.0.0.1:11434" in keyless
    assert "anthropic" not in keyless
    only = announcement(
        Config(home=Path("/h"), server=ServerConfig(host=host), upstreams={"a": "https://a.example"}),
        1,
        has_dashboard=False,
    )
    assert len(only) == 4
