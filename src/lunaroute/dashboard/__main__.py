"""`python -m lunaroute.dashboard`: the dashboard process, started by the supervisor."""

import socket

from lunaroute.supervisor.spec import WorkerSpec, run_child


def main() -> None:
    run_child("dashboard", _run)


def _run(spec: WorkerSpec) -> None:
    from lunaroute.dashboard.server import run_dashboard  # only now: a mistake in the settings is told sooner

    run_dashboard(spec.config, socket.socket(fileno=spec.listen_fd), spec.alive_fd)


if __name__ == "__main__":
    main()
