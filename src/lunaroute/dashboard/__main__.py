"""`python -m lunaroute.dashboard`: the dashboard process, started by the supervisor."""

import socket
import sys

from lunaroute.encryption.keys import look_for_keys
from lunaroute.errors import LunarouteError
from lunaroute.supervisor.spec import WorkerSpec


def main() -> None:
    try:
        spec = WorkerSpec.from_env()
        look_for_keys(lambda: spec.config.encryption.key_file)
        from lunaroute.dashboard.server import run_dashboard

        run_dashboard(spec.config, socket.socket(fileno=spec.listen_fd), spec.alive_fd)
    except (LunarouteError, OSError) as error:
        sys.exit(f"lunaroute: dashboard: {error}")


if __name__ == "__main__":
    main()
