"""`python -m lunaroute.archive`: the keeper process, started by the supervisor."""

import sys

from lunaroute.archive.keeper import run_keeper
from lunaroute.errors import LunarouteError
from lunaroute.supervisor.spec import WorkerSpec


def main() -> None:
    try:
        spec = WorkerSpec.from_env()
        run_keeper(spec.config, spec.alive_fd)
    except (LunarouteError, OSError) as error:
        sys.exit(f"lunaroute: keeper: {error}")


if __name__ == "__main__":
    main()
