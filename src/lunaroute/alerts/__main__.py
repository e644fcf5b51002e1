"""`python -m lunaroute.alerts`: the process that watches the rules, started by the supervisor where there are any."""

from lunaroute.alerts.worker import run_alerts
from lunaroute.supervisor.spec import run_child


def main() -> None:
    run_child("alerts", lambda spec: run_alerts(spec.config, spec.alive_fd))


if __name__ == "__main__":
    main()
