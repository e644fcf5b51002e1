"""`python -m lunaroute.shipping`: the shipper process, started by the supervisor where there are sinks to ship to."""

from lunaroute.shipping.worker import run_shipper
from lunaroute.supervisor.spec import run_child


def main() -> None:
    run_child("shipper", lambda spec: run_shipper(spec.config, spec.alive_fd))


if __name__ == "__main__":
    main()
