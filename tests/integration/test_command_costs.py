"""What a command costs: memory, also over a session of large bodies, and time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.builders import TEN_OCLOCK, SessionScript, tokens
from tests.unit.query.conftest import record

MAX_MB = 150
MAX_LIST_CPU_S = 0.4
_BODY_BYTES = 1_000_000
_EXCHANGES = 60


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SessionScript]:
    """A session of 60 MB, whose requests send their history again."""
    home = tmp_path_factory.mktemp("large")
    script = SessionScript("large", TEN_OCLOCK)
    body = b'{"messages":[{"role":"user","content":"%b"}]}' % (b"history " * (_BODY_BYTES // 8))
    for number in range(_EXCHANGES):
        script.turn(f"question {number}", "answer", tokens=tokens(250_000, 3), request_json=body)
    record(home, script.complete())
    return home, script


def _spent(home: Path, words: Sequence[str]) -> tuple[float, float]:
    """(MB of memory at most, seconds of CPU) of one command, in a process that has no other child."""
    measure = (
        "import resource, subprocess, sys;"
        "subprocess.run([sys.executable, '-m', 'lunaroute', *sys.argv[1:]], stdout=subprocess.DEVNULL, check=True);"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN);"
        "print(used.ru_maxrss, used.ru_utime + used.ru_stime)"
    )
    environment = {**os.environ, "LUNAROUTE_HOME": str(home)}
    command = [sys.executable, "-c", measure, *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    maxrss, cpu_s = done.stdout.split()
    return int(maxrss) / (1024 if sys.platform == "linux" else 1024 * 1024), float(cpu_s)


@pytest.mark.parametrize(
    "words",
    [
        *(["sessions", "list"], ["sessions", "list", "--json"], ["stats"], ["latency"], ["search", "question"]),
        *(["tail"], ["tail", "tokens:>10"], ["sql", "SELECT count(*) FROM session_stats"]),
        *(
            ["sessions", "show", "ID", "--no-pager"],
            ["sessions", "show", "ID", "--json"],
            ["sessions", "raw", "REQUEST"],
        ),
        *(
            ["sessions", "export", "ID", "--format", form]
            for form in ("jsonl", "csv", "html", "finetune", "har", "otlp")
        ),
    ],
    ids=" ".join,
)
def test_no_command_needs_more_memory_than_was_promised(large: tuple[Path, SessionScript], words: list[str]) -> None:
    home, script = large
    names = {"ID": script.session_id, "REQUEST": script.events[1].request_id}
    memory_mb, _ = _spent(home, [names.get(word, word) for word in words])
    assert memory_mb < MAX_MB


def test_a_list_is_there_at_once(large: tuple[Path, SessionScript]) -> None:
    home, _ = large
    assert min(_spent(home, ["sessions", "list"])[1] for _ in range(3)) < MAX_LIST_CPU_S
