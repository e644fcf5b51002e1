"""A relay worker for tests: answers every request with 200, its run_id, pid, number and limit of files, then closes.

`/exit` ends the process without an answer. Argument `never`: it does not start; `deaf`: it does not stop.
"""

import json
import os
import resource
import select
import signal
import socket
import sys
from pathlib import Path

from lunaroute.supervisor.spec import WorkerSpec


def _answer(client: socket.socket, spec: WorkerSpec) -> None:
    path = client.recv(65536).split(b" ")[1]
    if path == b"/exit":
        os._exit(3)
    answer = {"status": "ok", "run_id": spec.run_id, "pid": os.getpid(), "worker": spec.worker}
    body = json.dumps(answer | {"most_files": resource.getrlimit(resource.RLIMIT_NOFILE)[0]}).encode()
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body))
    client.close()


def _note(spec: WorkerSpec, what: str) -> None:
    with Path(spec.config.home / "journal").open("a") as journal:
        journal.write(f"relay {spec.worker} {what}\n")


def main() -> None:
    spec = WorkerSpec.from_env()
    if "never" in sys.argv:
        sys.exit(7)
    stop_read_fd, stop_write_fd = os.pipe()
    signal.signal(signal.SIGTERM, lambda *_: os.write(stop_write_fd, b"x"))
    listener = socket.socket(fileno=spec.listen_fd)
    ends = [stop_read_fd, spec.alive_fd]
    while True:
        ready, _, _ = select.select([listener, *([] if "deaf" in sys.argv else ends)], [], [])
        if stop_read_fd in ready or spec.alive_fd in ready:
            _note(spec, "stopped" if stop_read_fd in ready else "orphaned")
            return
        _answer(listener.accept()[0], spec)


if __name__ == "__main__":
    main()
