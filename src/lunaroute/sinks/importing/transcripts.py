"""What clients wrote down themselves, brought in as sessions of this home.

In: their files, which are only read. Out: session files and rows of the index, as if a recorder had written them.
What is recorded already, on the wire or by an import before, is passed over, so importing again changes nothing. A
session's file is written whole and takes its place in one step; its rows follow in one transaction. A server may be
running.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import msgspec

from lunaroute.events import Event, encode_event
from lunaroute.pricing import Pricer
from lunaroute.sinks.alone import rewriting_alone
from lunaroute.sinks.layout import make_private_dir, plain_path
from lunaroute.sinks.session_file import BadLine, SessionFileWriter, read_lines
from lunaroute.sinks.sqlite.sink import SqliteSink
from lunaroute.sinks.zstd import DAMAGE
from lunaroute.transcripts.claude_code import read_claude_code
from lunaroute.transcripts.codex import read_codex
from lunaroute.transcripts.recording import Recording, split_sessions
from lunaroute.transcripts.telling import request_id_of
from lunaroute.transcripts.turn import Conversation, Reading, Turn

from .placing import written_aside
from .recorded import Recorded, moment
from .report import ImportReport

Progress = Callable[[int, int], None]
"""(files done, files in all)."""

_LINES_TO_FIND_AN_ID = 200


class Client(msgspec.Struct, frozen=True):
    """A client whose transcripts are read."""

    name: str
    patterns: tuple[str, ...]
    read: Callable[[Iterable[bytes]], Reading]
    id_field: str


CLAUDE_CODE = Client("claude-code", ("*.jsonl", "*.jsonl.zst"), read_claude_code, "sessionId")
CODEX = Client("codex", ("rollout-*.jsonl", "rollout-*.jsonl.zst"), read_codex, "session_meta.id")


def import_transcripts(
    client: Client,
    root: Path,
    sessions_dir: Path,
    database: Path,
    *,
    pricer: Pricer,
    idle_timeout_ns: int,
    on_progress: Progress | None = None,
) -> ImportReport:
    """Bring in what is below `root`, a folder or one file. Raises LunarouteError when another command is at it,
    OSError, sqlite3.Error; what was brought in until then stays, and the next time goes on."""
    report = ImportReport()
    with rewriting_alone(sessions_dir), closing(SqliteSink(database, sessions_dir)) as sink:
        sink.open()
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as index:
            importer = _Importer(client, sessions_dir, sink, index, pricer, idle_timeout_ns, report)
            files = _files(client, root)
            for group in _by_conversation(client, files, report):
                importer.take(group)
                report.file_count += len(group)
                if on_progress is not None:
                    on_progress(report.file_count, len(files))
    return report


class _Importer:
    def __init__(
        self,
        client: Client,
        sessions_dir: Path,
        sink: SqliteSink,
        index: sqlite3.Connection,
        pricer: Pricer,
        idle_timeout_ns: int,
        report: ImportReport,
    ) -> None:
        self._client = client
        self._sessions_dir = sessions_dir
        self._sink = sink
        self._index = index
        self._pricer = pricer
        self._idle_timeout_ns = idle_timeout_ns
        self._report = report

    def take(self, paths: list[Path]) -> None:
        """All files of one conversation."""
        conversation = self._read(paths)
        if not conversation.turns:
            return
        recorded = Recorded(self._index, conversation)
        recording = Recording(conversation, self._pricer)
        new: list[Turn] = []
        for turn in conversation.turns:
            if recorded.has(turn, request_id_of(turn, self._client.name)):
                self._report.known_count += 1
                recording.remember(turn)
            else:
                new.append(turn)
        for session in split_sessions(new, self._idle_timeout_ns):
            continues = self._session_before(conversation.conversation_id, session[0].began_ns)
            self._write(recording.session_events(session, continues))
            self._report.exchange_count += len(session)

    def _read(self, paths: list[Path]) -> Conversation:
        turns: dict[str, Turn] = {}
        conversation_id = None
        for path in paths:
            reading = self._client.read(_lines(path, self._report))
            conversation_id = conversation_id or reading.conversation_id
            for turn in reading.turns:
                turns.setdefault(turn.key, turn)
            self._report.bad_lines += [
                BadLine(path=path, line_number=number, reason="this line is no JSON object")
                for number in reading.bad_lines
            ]
        conversation_id = conversation_id or paths[0].name.partition(".")[0]
        return Conversation(
            client_name=self._client.name,
            conversation_id=conversation_id,
            evidence=f"{self._client.id_field}={conversation_id}",
            turns=sorted(turns.values(), key=lambda turn: turn.began_ns),
        )

    def _session_before(self, conversation_id: str, began_ns: int) -> str | None:
        row = self._index.execute(
            "SELECT session_id FROM sessions WHERE conversation_id = ? AND started_at < ?"
            " ORDER BY started_at DESC LIMIT 1",
            (conversation_id, moment(began_ns)),
        ).fetchone()
        return None if row is None else str(row[0])

    def _write(self, events: list[Event]) -> None:
        session_id = events[0].session_id
        path = plain_path(self._sessions_dir, session_id)
        make_private_dir(path.parent)
        # A file of that name is of an import that was cut off before its rows were written.
        with written_aside(path) as aside, SessionFileWriter(aside) as writer:
            for event in events:
                writer.write(encode_event(event))
        self._sink.write_batch(events)
        self._report.session_count += 1


def _files(client: Client, root: Path) -> list[Path]:
    """The oldest first: where a client began a file with a copy of another, the other comes first."""
    if root.is_file():
        return [root]
    found = {path for pattern in client.patterns for path in root.rglob(pattern) if path.is_file()}
    return sorted(found, key=lambda path: (path.stat().st_mtime_ns, path))


def _by_conversation(client: Client, files: list[Path], report: ImportReport) -> Iterator[list[Path]]:
    """Files of one conversation together: sub-agents have files of their own."""
    groups: dict[str, list[Path]] = {}
    for path in files:
        head = client.read(islice(_lines(path, report), _LINES_TO_FIND_AN_ID))
        groups.setdefault(head.conversation_id or str(path), []).append(path)
    yield from groups.values()


def _lines(path: Path, report: ImportReport) -> Iterator[bytes]:
    """As many as can be read; what stops it is named once."""
    try:
        yield from read_lines(path, is_tail_wanted=True)
    except (OSError, *DAMAGE) as error:
        problem = f"{path}: {error}"
        if problem not in report.problems:
            report.problems.append(problem)
