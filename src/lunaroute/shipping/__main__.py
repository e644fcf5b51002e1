"""`python -m lunaroute.shipping`: the shipper process, started by the supervisor where there are sinks to ship to."""

import sys

from lunaroute.encryption.keys import look_for_keys
from lunaroute.errors import LunarouteError
from lunaroute.shipping.worker import run_shipper
from lunaroute.supervisor.spec import WorkerSpec


def main() -> None:
    try:
        spec = WorkerSpec.from_env()
        look_for_keys(lambda: spec.config.encryption.key_file)
        run_shipper(spec.config, spec.alive_fd)
    except (LunarouteError, OSError) as error:
        sys.exit(f"lunaroute: shipper: {error}")


if __name__ == "__main__":
    main()
