"""A server for tests: the real supervisor over a fake relay and a fake recorder.

Usage: fake_server.py HOME PORT WORKERS GRACE_S [word for the relay, or role=ROLE]
"""

import sys
from pathlib import Path

import msgspec

from lunaroute.config import Config, DashboardConfig, ServerConfig
from lunaroute.errors import LunarouteError
from lunaroute.supervisor.server import serve

_HERE = Path(__file__).parent


def main() -> None:
    home, port, workers, grace_s = sys.argv[1:5]
    role = next((word.removeprefix("role=") for word in sys.argv[5:] if word.startswith("role=")), "all")
    settings = {"port": int(port), "workers": int(workers), "shutdown_grace_s": float(grace_s), "role": role}
    server = msgspec.convert(settings, ServerConfig)
    relay = [sys.executable, str(_HERE / "fake_relay.py"), *sys.argv[5:]]
    recorder = [sys.executable, str(_HERE / "fake_recorder.py")]
    try:
        serve(Config(home=Path(home), server=server, dashboard=DashboardConfig(enabled=False)), relay, recorder)
    except LunarouteError as error:
        sys.exit(f"lunaroute: {error}")


if __name__ == "__main__":
    main()
