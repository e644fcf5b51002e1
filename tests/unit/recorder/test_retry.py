"""Poison that is read later: once, in its place, and as if nothing had ever been wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from lunaroute.archive.compress import compress_all
from lunaroute.capture.records import ExchangeClosed
from lunaroute.cli import main
from lunaroute.events import Event, decode_event, encode_event
from lunaroute.events.types import Completed, RequestRecorded, ResponseRecorded, Started
from lunaroute.pricing import Pricer
from lunaroute.recorder import retry as retry_module
from lunaroute.recorder.dead_letter import DeadLetter, DeadLetters
from lunaroute.recorder.retry import RetryReport, retry
from lunaroute.sinks.layout import session_files
from lunaroute.sinks.session_file import read_events
from lunaroute.sinks.sqlite import batch
from tests.exchanges import MS, START_MONO_NS
from tests.support.broken_reader import break_readers
from tests.support.spooled import LaneScript, copied, record, write_spool
from tests.traffic import anthropic_request, anthropic_response, anthropic_stream
from tests.unit.verify.conftest import Store

What = Literal["request", "response"]
Break = Callable[[What], None]


def spool(home: Path) -> None:
    """A session of three exchanges: the second is a stream, the third brings the result of the first's call."""
    script = LaneScript("w0")
    script.start(0)
    script.request(1, anthropic_request("first"), "alpha", 10)
    answer(script, 1, [anthropic_response("one", calls=["toolu_1"], response_id="msg_1")], 100)
    script.request(2, anthropic_request("second", stream=True), "alpha", 500)
    answer(script, 2, anthropic_stream("two " * 50), 600, is_stream=True)
    script.request(3, anthropic_request("third", results=[("toolu_1", "x")]), "alpha", 900)
    answer(script, 3, [anthropic_response("three", response_id="msg_3")], 1000)
    script.stop(2000)
    script.write(home / "spool")


def answer(script: LaneScript, number: int, chunks: list[bytes], at_ms: int, *, is_stream: bool = False) -> None:
    """Sent 50 ms before its first byte."""
    script.response(number, chunks, at_ms, is_stream=is_stream, is_closed=False)
    sent_ns = START_MONO_NS + (at_ms - 50) * MS
    ended_ns = script.records[-1].t_ns + MS
    script.records.append(ExchangeClosed(number, ended_ns, "completed", None, sent_ns, MS, MS))


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Break:
    """Make what reads a request or a response of the second exchange raise."""

    def break_it(what: What) -> None:
        break_readers(monkeypatch, what, is_poison=lambda data: b"second" in data or b"two " in data)

    return break_it


def events_of(home: Path) -> list[Event]:
    ((_, path),) = session_files(home / "sessions")
    bad: list[Any] = []
    events = list(read_events(path, bad.append))
    assert bad == []
    return events


def try_again(home: Path, only: set[str] | None = None) -> RetryReport:
    return retry(home / "sessions", home / "sessions" / "sessions.db", letters(home), Pricer(), only=only)


def problems_of(home: Path) -> list[str]:
    return [str(problem) for problem in Store(home).verify().problems]


def letters(home: Path) -> DeadLetters:
    return DeadLetters(home / "recorder" / "dead-letter")


@pytest.mark.parametrize("what", ["request", "response"])
@pytest.mark.parametrize("is_compressed", [False, True], ids=["plain", "compressed"])
def test_poison_that_can_be_read_later_is_in_its_session_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: Break, what: What, is_compressed: bool
) -> None:
    healthy, home = tmp_path / "healthy", tmp_path / "home"
    for one in (healthy, home):
        spool(one)
    record(healthy)
    broken(what)
    record(home)
    monkeypatch.undo()
    poisoned = events_of(home)
    ((name, letter),) = letters(home).read()
    assert "RuntimeError: a bug" in letter.reason
    if is_compressed:
        compress_all(home / "sessions")

    assert try_again(home).done == [name]
    assert letters(home).count == 0
    again = events_of(home)
    assert [(type(one), one.request_id, one.seq) for one in again] == [
        (type(one), one.request_id, one.seq) for one in poisoned
    ]
    _, second, _ = (one for one in again if isinstance(one, ResponseRecorded))
    assert second.request_id == name
    assert second.response_text == "two " * 50
    assert problems_of(home) == []
    # As if it had been read at first, but for what later exchanges were told apart by.
    wanted = events_of(healthy)
    for one, other in zip(again, wanted, strict=True):
        if isinstance(one, ResponseRecorded | Completed):
            assert told(one) == told(other)
    before = {path: path.read_bytes() for _, path in session_files(home / "sessions")}
    letters(home).add(letter)
    assert try_again(home).done == [name], "it may be tried again"
    assert {path: path.read_bytes() for _, path in session_files(home / "sessions")} == before


def told(event: Event) -> Any:
    """What it says, without what compares it to the requests before."""
    fields = json.loads(encode_event(event))
    del fields["prev"]
    fields.get("stats", {}).pop("context", None)
    fields.get("final_stats", {}).pop("context", None)
    return approximately(fields)


def approximately(value: Any) -> Any:
    """Times are sums of floats."""
    if isinstance(value, dict):
        return {name: approximately(one) for name, one in value.items()}
    if isinstance(value, list):
        return [approximately(one) for one in value]
    return pytest.approx(value) if isinstance(value, float) else value


def test_the_first_line_of_a_session_learns_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: Break
) -> None:
    break_readers(monkeypatch, "request")
    spool(tmp_path)
    record(tmp_path)
    monkeypatch.undo()
    started = events_of(tmp_path)[0]
    assert isinstance(started, Started)
    assert started.model_requested is None
    assert len(try_again(tmp_path).done) == 3
    started = events_of(tmp_path)[0]
    assert isinstance(started, Started)
    assert started.model_requested == "claude-haiku-4-5"
    assert problems_of(tmp_path) == []


def test_turns_of_a_websocket_and_cut_streams_are_read_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_spool(tmp_path / "healthy" / "spool", rounds=2)
    home = copied(tmp_path / "healthy", "home")
    record(tmp_path / "healthy")
    with monkeypatch.context() as patch:
        break_readers(patch, "response")
        record(home)
    assert try_again(home).left == {}
    wanted, found = responses_of(tmp_path / "healthy"), responses_of(home)
    assert {one.response_text for one in wanted.values()} >= {"answer 0 " * 50, "b" * 900}
    assert {key: heard(one) for key, one in found.items()} == {key: heard(one) for key, one in wanted.items()}
    assert problems_of(home) == []


def responses_of(home: Path) -> dict[str, ResponseRecorded]:
    found: dict[str, ResponseRecorded] = {}
    for _, path in session_files(home / "sessions"):
        events = read_events(path, lambda bad: pytest.fail(str(bad)))
        found |= {event.request_id: event for event in events if isinstance(event, ResponseRecorded)}
    return found


def heard(event: ResponseRecorded) -> tuple[Any, ...]:
    stats = event.stats
    calls = [(call.tool_name, call.tool_call_id) for call in stats.tool_calls]
    said = (event.response_text, event.model_used, event.outcome, event.finish_reason, event.error, event.response_id)
    return (*said, bytes(event.response_json), stats.tokens.output_tokens, calls, len(stats.stream_events))


def test_what_still_breaks_stays_with_its_reason_and_one_alone_may_be_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_readers(monkeypatch, "response")
    spool(tmp_path)
    record(tmp_path)
    names = [name for name, _ in letters(tmp_path).read()]
    before = events_of(tmp_path)
    assert try_again(tmp_path).left == dict.fromkeys(names, "RuntimeError: a bug")
    assert events_of(tmp_path) == before
    monkeypatch.undo()
    assert try_again(tmp_path, only={names[1]}).done == [names[1]]
    assert [name for name, _ in letters(tmp_path).read()] == [names[0], names[2]]


def test_killed_before_the_letter_goes_it_is_done_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: Break
) -> None:
    broken("response")
    spool(tmp_path)
    record(tmp_path)
    monkeypatch.undo()

    def killed(*_: object) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(retry_module, "reindex", killed)
        with pytest.raises(KeyboardInterrupt):
            try_again(tmp_path)
    assert letters(tmp_path).count == 1
    assert len(try_again(tmp_path).done) == 1
    assert problems_of(tmp_path) == []


def test_a_session_that_is_not_over_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: Break) -> None:
    broken("response")
    spool(tmp_path)
    record(tmp_path)
    monkeypatch.undo()
    ((_, path),) = session_files(tmp_path / "sessions")
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    (reason,) = try_again(tmp_path).left.values()
    assert "not over" in reason
    assert letters(tmp_path).count == 1


def test_an_event_that_the_index_refused_is_in_it_when_it_no_longer_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool(tmp_path)
    original = batch.Batch.add

    def refusing(self: batch.Batch, event: Event) -> None:
        if isinstance(event, RequestRecorded) and event.request_text == "third":
            raise ValueError("does not fit")
        original(self, event)

    monkeypatch.setattr(batch.Batch, "add", refusing)
    record(tmp_path)
    ((name, letter),) = letters(tmp_path).read()
    assert letter.reason == "sqlite: does not fit"
    assert list(try_again(tmp_path).left) == [name]
    monkeypatch.undo()
    assert problems_of(tmp_path) != []
    assert try_again(tmp_path).done == [name]
    assert problems_of(tmp_path) == []


def test_an_event_that_is_in_no_file_is_kept(tmp_path: Path) -> None:
    spool(tmp_path)
    record(tmp_path)
    event = decode_event(encode_event(events_of(tmp_path)[1]).replace(b'"seq":1,', b'"seq":77,'))
    letters(tmp_path).add(DeadLetter(reason="jsonl: the file is compressed", event=event))
    assert list(try_again(tmp_path).left.values()) == ["it is in no session file"]
    assert letters(tmp_path).count == 1


def test_the_command_lists_and_tries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: Break, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(["retry", "--home", str(tmp_path), *arguments])
        assert isinstance(ended.value.code, int)
        return ended.value.code, capsys.readouterr().out

    assert run("--list") == (0, "There are no dead letters.\n")
    broken("response")
    spool(tmp_path)
    record(tmp_path)
    ((name, _),) = letters(tmp_path).read()
    capsys.readouterr()
    assert run("--list") == (0, f"{name}  exchange  response: RuntimeError: a bug\n")
    assert json.loads(run("--list", "--json")[1]) == [
        {"id": name, "what": "exchange", "reason": "response: RuntimeError: a bug"}
    ]
    assert run(name[:20]) == (1, "0 recorded as they should be, 1 left.\n")
    assert run("nonsense")[0] == 2
    monkeypatch.undo()
    assert run() == (0, "1 recorded as they should be.\n")
    assert run() == (0, "There are no dead letters.\n")
