"""`python -m lunaroute.archive`: the housekeeper process, started by the supervisor."""

from lunaroute.archive.housekeeper import run_housekeeper
from lunaroute.supervisor.spec import run_child


def main() -> None:
    run_child("housekeeper", lambda spec: run_housekeeper(spec.config, spec.alive_fd))


if __name__ == "__main__":
    main()
