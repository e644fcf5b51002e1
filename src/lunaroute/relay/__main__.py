"""`python -m lunaroute.relay`: a relay worker, started by the supervisor."""

import sys

from lunaroute.compiled import stale_modules
from lunaroute.relay.worker import run_worker
from lunaroute.supervisor.spec import run_child


def main() -> None:
    for source in stale_modules():
        print(f"lunaroute: {source.name} was changed after it was compiled; run `make compile`", file=sys.stderr)
    run_child("relay", lambda spec: run_worker(spec.config, spec.run_id, spec.listen_fd, spec.alive_fd))


if __name__ == "__main__":
    main()
