"""Run a simulated provider in a process of its own, for tests, benchmarks and the demo."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from lunaroute.errors import StartError
from lunaroute.simulator.ledger import LedgerEntry

_READY = "listening on "


class RunningSimulator:
    """A simulator process and its ledger."""

    def __init__(self, base_url: str, process: subprocess.Popen[str]) -> None:
        self.base_url = base_url
        self.process = process

    @property
    def port(self) -> int:
        return int(self.base_url.rpartition(":")[2])

    def ledger(self) -> list[LedgerEntry]:
        """Everything received so far, in order of arrival."""
        lines = self._get("/simulator/ledger").splitlines()
        return [msgspec.json.decode(line, type=LedgerEntry) for line in lines]

    def raw_head(self, n: int) -> bytes:
        """The head of request `n` as received, byte for byte."""
        return self._get(f"/simulator/requests/{n}")

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.base_url + path, timeout=30) as response:
            return bytes(response.read())


@contextmanager
def start_simulator(
    *, port: int = 0, delay_factor: float = 0.0, seed: str | None = None, http_only: bool = False
) -> Iterator[RunningSimulator]:
    """A simulator that is ready when the block begins and gone when it ends. Raises StartError."""
    command = [sys.executable, "-m", "lunaroute.simulator", f"--port={port}", f"--delay-factor={delay_factor}"]
    command += [f"--seed={seed}"] if seed else []
    command += ["--http-only"] if http_only else []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        if not line.startswith(_READY):
            raise StartError(f"the simulated provider did not start: {process.stderr.read().strip()}")
        try:
            yield RunningSimulator(line.removeprefix(_READY).strip(), process)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
