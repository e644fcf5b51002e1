"""A stream cut by the client, the provider, or the death of any process of ours: recorded once, as what it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lunaroute.events.bodies import response_bytes
from lunaroute.simulator import RunningSimulator, start_simulator
from lunaroute.sinks.layout import session_files
from lunaroute.sinks.session_file import read_lines
from tests.support.faults import (
    Stream,
    accident_prone,
    check_recordings,
    is_running,
    kill,
    only,
    processes,
    session_of,
    spoken_text,
)
from tests.support.server import wait_until


@pytest.fixture(scope="module")
def provider() -> Iterator[RunningSimulator]:
    """It speaks as slowly as a model does."""
    with start_simulator(delay_factor=0.7) as running:
        yield running


def test_what_client_or_provider_cut_is_recorded_as_such_and_nothing_else_suffers(
    provider: RunningSimulator, tmp_path: Path
) -> None:
    provider_cuts = {
        "closed in the middle": "cut_after=1500",
        "reset in the middle": "cut_after=1500; reset",
        "closed unanswered": "drop",
        "reset unanswered": "drop; reset",
    }
    with accident_prone(tmp_path / "home", provider) as server:
        companion = Stream(server.port, "companion")
        left = Stream(server.port, "left by the client")
        cut = [Stream(server.port, name, simulate=what) for name, what in provider_cuts.items()]
        left.read_some()
        left.close()
        for stream in (*cut, companion):
            stream.read_to_end()
        assert companion.is_whole
    found = check_recordings(tmp_path / "home")
    assert len([one for session in found for one in session.exchanges()]) == 6

    kept = only(found, "left by the client")
    assert kept.response.outcome == "client_cancelled"
    assert left.text
    assert kept.response.response_text.startswith(left.text)
    for stream in cut:
        response = only(found, stream.marker).response
        assert (response.outcome, response.success) == ("upstream_cut", False)
        assert response.response_text == stream.text
        assert bool(stream.text) == (response.status_code == 200)
    whole = only(found, "companion").response
    assert (whole.outcome, whole.response_text) == ("completed", companion.text)
    assert {session.completed.reason for session in found} == {"shutdown"}


def test_a_killed_relay_interrupts_its_streams_and_the_next_connection_waits_for_its_successor(
    provider: RunningSimulator, tmp_path: Path
) -> None:
    with accident_prone(tmp_path / "home", provider) as server:
        cut = [Stream(server.port, f"cut {number}") for number in range(2)]
        for stream in cut:
            stream.read_some()
        (relay,) = processes(server).relays
        kill(relay)
        waiting = Stream(server.port, "came meanwhile", answer_bytes=50)  # nobody accepts now; the kernel queues it
        for stream in (*cut, waiting):
            stream.read_to_end()
        assert waiting.is_whole
        assert processes(server).relays != [relay]
    found = check_recordings(tmp_path / "home")
    for stream in cut:
        assert not stream.is_whole
        kept = only(found, stream.marker).response
        assert kept.outcome == "interrupted"
        assert kept.error is not None
        assert stream.text
        assert kept.response_text.startswith(stream.text)
    assert only(found, "came meanwhile").response.outcome == "completed"
    assert {session.completed.reason for session in found} == {"shutdown"}


def test_with_two_workers_the_other_ones_streams_go_on(provider: RunningSimulator, tmp_path: Path) -> None:
    with accident_prone(tmp_path / "home", provider, "--workers=2") as server:
        streams = [Stream(server.port, f"stream {number}") for number in range(12)]
        for stream in streams:
            stream.read_some()
        kill(processes(server).relays[0])
        for stream in streams:
            stream.read_to_end()
        whole = [stream for stream in streams if stream.is_whole]
        assert 0 < len(whole) < len(streams)
        after = Stream(server.port, "after", answer_bytes=50)
        after.read_to_end()
        assert after.is_whole
        processes(server)  # both are there again
    found = check_recordings(tmp_path / "home")
    for stream in streams:
        kept = only(found, stream.marker).response
        assert kept.outcome == ("completed" if stream.is_whole else "interrupted")
        assert kept.response_text.startswith(stream.text)
    assert {session.completed.reason for session in found} == {"shutdown"}


def test_the_death_of_the_recorder_cannot_be_seen(provider: RunningSimulator, tmp_path: Path) -> None:
    with accident_prone(tmp_path / "home", provider) as server:
        stream = Stream(server.port, "goes on")
        stream.read_some()
        before = processes(server)
        kill(before.recorder)
        stream.read_to_end()
        assert stream.is_whole
        after = processes(server)
        assert (after.relays, after.recorder != before.recorder) == (before.relays, True)
        assert "recorder ended (killed by SIGKILL); starting it again" in server.said
    found = check_recordings(tmp_path / "home")
    kept = only(found, "goes on").response
    assert (kept.outcome, kept.response_text) == ("completed", stream.text)
    assert session_of(found, "goes on").completed.reason == "shutdown"


def test_without_its_supervisor_a_relay_finishes_what_it_has_and_all_of_it_is_recorded(
    provider: RunningSimulator, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    with accident_prone(home, provider) as server:
        stream = Stream(server.port, "drained")
        stream.read_some()
        here = processes(server)
        kill(here.supervisor)
        stream.read_to_end()
        assert stream.is_whole
        wait_until(lambda: not any(is_running(pid) for pid in (*here.relays, here.recorder)))
    found = check_recordings(home)
    kept = only(found, "drained").response
    assert (kept.outcome, kept.response_text) == ("completed", stream.text)
    assert session_of(found, "drained").completed.reason == "shutdown"


def test_after_the_death_of_all_the_next_server_completes_what_was_open(
    provider: RunningSimulator, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    with accident_prone(home, provider) as server:
        done = Stream(server.port, "done before", answer_bytes=50)
        done.read_to_end()
        cut = Stream(server.port, "cut by the death of all")
        cut.read_some()
        kill(*processes(server).all)
        cut.read_to_end()
        assert not cut.is_whole
    assert not any(_is_completed(path) for _, path in session_files(home / "sessions"))
    with accident_prone(home, provider) as server:
        later = Stream(server.port, "later", answer_bytes=50)
        later.read_to_end()
        again = Stream(server.port, "again", answer_bytes=50, session=cut.marker)
        again.read_to_end()
        assert later.is_whole
    found = check_recordings(home)
    kept = only(found, cut.marker)
    assert kept.response.outcome == "interrupted"
    assert cut.text
    assert kept.response.response_text.startswith(cut.text)
    assert spoken_text(response_bytes(kept.response)).startswith(cut.text)
    assert session_of(found, cut.marker).completed.reason == "recovered"
    assert session_of(found, done.marker).completed.reason == "recovered"
    assert only(found, done.marker).response.outcome == "completed"
    assert session_of(found, "later").completed.reason == "shutdown"
    resumed = session_of(found, "again")
    assert resumed.started.continues == session_of(found, cut.marker).started.session_id


def _is_completed(path: Path) -> bool:
    return any(b'"type":"completed"' in line for line in read_lines(path))
