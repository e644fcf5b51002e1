"""`python -m lunaroute.recorder`: the recorder process, started by the supervisor."""

import sys

from lunaroute.encryption.keys import look_for_keys
from lunaroute.errors import LunarouteError
from lunaroute.recorder.worker import run_recorder
from lunaroute.supervisor.spec import WorkerSpec


def main() -> None:
    try:
        spec = WorkerSpec.from_env()
        look_for_keys(lambda: spec.config.encryption.key_file)
        run_recorder(spec.config, spec.alive_fd)
    except (LunarouteError, OSError) as error:
        sys.exit(f"lunaroute: recorder: {error}")


if __name__ == "__main__":
    main()
