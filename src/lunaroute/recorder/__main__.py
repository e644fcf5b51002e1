"""`python -m lunaroute.recorder`: the recorder process, started by the supervisor."""

from lunaroute.recorder.worker import run_recorder
from lunaroute.supervisor.spec import run_child


def main() -> None:
    run_child("recorder", lambda spec: run_recorder(spec.config, spec.alive_fd))


if __name__ == "__main__":
    main()
