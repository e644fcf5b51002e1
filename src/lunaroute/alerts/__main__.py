"""`python -m lunaroute.alerts`: the process that watches the rules, started by the supervisor where there are any."""

import sys

from lunaroute.alerts.worker import run_alerts
from lunaroute.encryption.keys import look_for_keys
from lunaroute.errors import LunarouteError
from lunaroute.supervisor.spec import WorkerSpec


def main() -> None:
    try:
        spec = WorkerSpec.from_env()
        look_for_keys(lambda: spec.config.encryption.key_file)
        run_alerts(spec.config, spec.alive_fd)
    except (LunarouteError, OSError) as error:
        sys.exit(f"lunaroute: alerts: {error}")


if __name__ == "__main__":
    main()
