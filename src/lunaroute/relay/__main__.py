"""`python -m lunaroute.relay`: a relay worker, started by the supervisor."""

import sys

from lunaroute.compiled import stale_modules
from lunaroute.encryption.keys import look_for_keys
from lunaroute.errors import LunarouteError
from lunaroute.relay.worker import run_worker
from lunaroute.supervisor.spec import WorkerSpec


def main() -> None:
    for source in stale_modules():
        print(f"lunaroute: {source.name} was changed after it was compiled; run `make compile`", file=sys.stderr)
    try:
        spec = WorkerSpec.from_env()
        look_for_keys(lambda: spec.config.encryption.key_file)
        run_worker(spec.config, spec.run_id, spec.listen_fd, spec.alive_fd)
    except (LunarouteError, OSError) as error:
        sys.exit(f"lunaroute: relay: {error}")


if __name__ == "__main__":
    main()
