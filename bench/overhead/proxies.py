"""The proxies: how each is started, and which of its processes a request costs time of."""

from __future__ import annotations

import re
import socket
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from lunaroute.config import DEFAULT_UPSTREAMS
from lunaroute.spool.segments import SUFFIX
from lunaroute.supervisor.instance import read_info, read_recorder

from .processes import children, put_on, running, runs, tree, wait_for, wait_until_quiet
from .tools import SOURCES
from .work import LITELLM, LUNAROUTE, NGINX, UNRECORDED

NOWHERE = "http://127.0.0.1:9"
_RECORDED_S = 120.0


@dataclass(frozen=True)
class Place:
    """Where everything is: files, upstreams, cores."""

    folder: Path
    provider_port: int
    tls_port: int
    litellm: Path | None = None
    """The program, where it is to be measured."""
    watcher_count: int = 0
    """Pages of the dashboard that are open meanwhile."""


@dataclass
class Proxy:
    """A proxy that takes requests."""

    port: int
    relays: list[int]
    """The processes on the way of a request."""
    helpers: list[int] = field(default_factory=list)
    """Processes whose CPU time counts as well: the keepers of the spool, which do a part of the recording."""
    home: Path | None = None
    """Where it records; None: it does not."""
    sent_count: int = 0
    """Requests that went through it."""

    @property
    def pids(self) -> list[int]:
        return [*self.relays, *self.helpers]

    def wait_until_recorded(self) -> None:
        """Rounds do not overlap with what the recorder has to catch up on, and nothing is missing."""
        if self.home is None:
            return
        deadline = time.monotonic() + _RECORDED_S
        while time.monotonic() < deadline:
            recorder = read_recorder(self.home / "run")
            if recorder is not None and (recorder.exchanges_recorded or 0) >= self.sent_count:
                return
            time.sleep(0.05)
        sys.exit(f"bench: {self.sent_count} requests were sent, and not all of them are recorded")


@contextmanager
def started(names: Sequence[str], place: Place, workers: int, cores: Sequence[int]) -> Iterator[dict[str, Proxy]]:
    """The proxies of these names, with their relays on `cores`."""
    starters: dict[str, Callable[[], object]] = {
        NGINX: partial(nginx, place, workers),
        LUNAROUTE: partial(lunaroute, place, workers, ["-m", "lunaroute"]),
        UNRECORDED: partial(lunaroute, place, workers, [str(SOURCES / "unrecorded.py")], is_recording=False),
        LITELLM: partial(litellm, place),
    }
    with ExitStack() as stack:
        proxies = {name: stack.enter_context(starters[name]()) for name in names}  # type: ignore[arg-type]
        for proxy in proxies.values():
            put_on(cores, proxy.relays)
        yield proxies


@contextmanager
def nginx(place: Place, workers: int, *, name: str = "nginx", is_tls: bool = False) -> Iterator[Proxy]:
    """A plain reverse proxy; with `is_tls`, one that takes TLS."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(4096)
        port = listener.getsockname()[1]
        text = (SOURCES / "nginx.conf").read_text(encoding="utf-8")
        ports = {"port": port, "provider_port": place.provider_port, "tls_port": place.tls_port or port}
        configured = text.partition("\n")[2].format(workers=workers, name=name, tls="ssl" if is_tls else "", **ports)
        path = place.folder / f"{name}.conf"
        path.write_text(configured, encoding="utf-8")
        # nginx takes over a listening socket that this variable names, as in an upgrade of itself: no port is guessed.
        environ = {"NGINX": f"{listener.fileno()};"}
        command = ["nginx", "-p", f"{place.folder}/", "-e", f"{name}.err", "-c", path]
        with running(command, place.folder, name, environ=environ, pass_fds=[listener.fileno()]) as server:

            def all_processes() -> list[int] | None:
                pids = tree(server.process.pid)
                return pids if len(pids) > workers else None

            yield Proxy(port, wait_for("nginx", all_processes, server))


@contextmanager
def lunaroute(place: Place, workers: int, program: Sequence[str], *, is_recording: bool = True) -> Iterator[Proxy]:
    """The whole server, recorder included, over a home of its own."""
    name = f"home-{workers}{'' if is_recording else '-unrecorded'}"
    home = place.folder / name
    upstreams = dict.fromkeys(DEFAULT_UPSTREAMS, NOWHERE) | {
        "anthropic": f"http://127.0.0.1:{place.provider_port}",
        "tls": f"https://127.0.0.1:{place.tls_port}",
    }
    flags = [f"--home={home}", "--port=0", "--ui-port=0", f"--workers={workers}"]
    flags += [f"--upstream={upstream}={url}" for upstream, url in upstreams.items()]
    words = ["serve", *flags] if program[0] == "-m" else flags
    environ = {"SSL_CERT_FILE": str(place.folder / "cert.pem"), "PYTHONPATH": ""}
    command = [sys.executable, *program, *words]
    with running(command, place.folder, name, environ=environ) as server:
        info = wait_for("lunaroute", lambda: read_info(home / "run"), server)
        relays = [pid for pid in children(server.process.pid) if runs(pid, "lunaroute.relay") or runs(pid, "relay")]

        def keepers() -> list[int] | None:
            pids = [pid for relay in relays for pid in children(relay) if runs(pid, "lunaroute.spool.keeper")]
            return pids if len(pids) == (workers if is_recording else 0) else None

        helpers = wait_for("the spool's keeper", keepers, server)
        wait_until_quiet(helpers)  # a keeper begins by making segments, once in the life of a spool
        with _watched(place, info.ui_port if is_recording else None):
            yield Proxy(info.port, relays, helpers, home if is_recording else None)
        if not is_recording and any((home / "spool").rglob(f"*{SUFFIX}")):
            sys.exit("bench: the relay that is not to record did")


@contextmanager
def _watched(place: Place, ui_port: int | None) -> Iterator[None]:
    """With as many open pages as are wanted."""
    if ui_port is None or not place.watcher_count:
        yield
        return
    script = SOURCES / "page_watchers.py"
    with running([sys.executable, script, str(ui_port), str(place.watcher_count)], place.folder, "watchers"):
        yield


@contextmanager
def litellm(place: Place) -> Iterator[Proxy]:
    """LiteLLM's proxy, which records nothing."""
    assert place.litellm is not None, "measured only where it is installed"
    path = place.folder / "litellm.yaml"
    path.write_text(
        "model_list:\n"
        "  - model_name: claude-sonnet-4-5\n"
        "    litellm_params:\n"
        "      model: anthropic/claude-sonnet-4-5\n"
        "      api_key: sk-bench\n"
        f"      api_base: http://127.0.0.1:{place.provider_port}\n",
        encoding="utf-8",
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    flags = ["--config", str(path), "--host", "127.0.0.1", "--port", str(port), "--telemetry", "False"]
    environ = {"LITELLM_MASTER_KEY": _client_key(), "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    with running([place.litellm, *flags], place.folder, "litellm", environ=environ, grace_s=10) as server:
        wait_for("LiteLLM", lambda: _answers(f"http://127.0.0.1:{port}/health/liveliness"), server)
        yield Proxy(port, tree(server.process.pid))


def _client_key() -> str:
    """What the client sends as its key: LiteLLM wants to know it."""
    found = re.search(r'#define KEY "(.*?)"', (SOURCES / "client.c").read_text(encoding="utf-8"))
    assert found is not None
    return found[1]


def _answers(url: str) -> bool | None:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200 or None
    except OSError:
        return None
