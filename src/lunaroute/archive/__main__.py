"""`python -m lunaroute.archive`: the housekeeper process, started by the supervisor."""

import sys

from lunaroute.archive.housekeeper import run_housekeeper
from lunaroute.encryption.keys import look_for_keys
from lunaroute.errors import LunarouteError
from lunaroute.supervisor.spec import WorkerSpec


def main() -> None:
    try:
        spec = WorkerSpec.from_env()
        look_for_keys(lambda: spec.config.encryption.key_file)
        run_housekeeper(spec.config, spec.alive_fd)
    except (LunarouteError, OSError) as error:
        sys.exit(f"lunaroute: housekeeper: {error}")


if __name__ == "__main__":
    main()
