"""A store of two finished sessions with a row in every table, as a recorder wrote it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lunaroute.assemble.exchange import Assembled, RunEnded
from lunaroute.sinks.layout import session_files
from lunaroute.verify.check import Report, verify
from tests.exchanges import MS, START_WALL_NS
from tests.repriced import record
from tests.traffic import anthropic_request, anthropic_response, anthropic_stream, both, exchange_of


class Store:
    """Its files and index, and what `verify` says of them."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.sessions_dir = home / "sessions"
        self.database = self.sessions_dir / "sessions.db"
        self.lock = home / "recorder" / "lock"

    @property
    def files(self) -> list[Path]:
        return [path for _, path in session_files(self.sessions_dir)]

    def lines(self, number: int = 0) -> list[bytes]:
        """Of one file."""
        return self.files[number].read_bytes().splitlines(keepends=True)

    def write(self, lines: list[bytes], number: int = 0) -> None:
        self.files[number].write_bytes(b"".join(lines))

    def verify(self) -> Report:
        return verify(self.sessions_dir, self.database, self.lock)

    def problems(self) -> list[str]:
        """Each without the folder it is in, and without the index, which then differs too."""
        report = self.verify()
        return [
            str(problem).removeprefix(f"{self.sessions_dir}/")
            for problem in report.problems
            if problem.path != str(self.database)
        ]

    def index_problems(self) -> list[str]:
        problems = self.verify().problems
        assert {problem.path for problem in problems} <= {str(self.database)}
        return [problem.problem for problem in problems]


def traffic(*, is_ended: bool = True) -> list[Assembled]:
    items: list[Assembled] = []
    for number in range(6):
        answer: bytes | list[bytes] = anthropic_response(
            f"answer {number}", calls=[f"toolu_{number}"], input_tokens=1000, output_tokens=10
        )
        if number == 3:
            answer = anthropic_stream("answer 3", input_tokens=1000, output_tokens=10)
        question = anthropic_request(f"question {number}", stream=number == 3)
        items += both(exchange_of(number, question, answer, at_ms=number * 150, session=("a", "b")[number % 2]))
    return [*items, RunEnded(START_WALL_NS + 3_600_000 * MS)] if is_ended else items


@pytest.fixture
def store(tmp_path: Path) -> Store:
    record(tmp_path / "sessions", traffic(), {})
    return Store(tmp_path)
