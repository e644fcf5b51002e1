"""A relay that is killed while the others stop: the sessions are completed all the same, also over a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from lunaroute.recorder import recorder as recorder_module
from lunaroute.sinks.layout import session_files
from lunaroute.sinks.session_file import read_lines
from tests.support.spooled import LaneScript, open_home
from tests.traffic import anthropic_request, anthropic_response


@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_relay_found_dead_after_the_others_stopped_leaves_no_session_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_restarted: bool
) -> None:
    for name in ("w0", "w1"):
        script = LaneScript(name)
        script.start(0)
        script.request(1, anthropic_request(f"hello {name}"), name, 10)
        script.response(1, [anthropic_response("fine")], 100, is_stream=False, is_closed=True)
        if name == "w0":
            script.stop(500)
        script.write(tmp_path / "spool")
    recorder = open_home(tmp_path)
    if is_restarted:
        with monkeypatch.context() as patch:
            patch.setattr(recorder_module, "_TICK_S", 1000.0)
            patch.setattr(recorder, "_lanes_without_writer", list)
            while recorder.step():
                pass
            recorder.checkpoint()
        recorder.close()
        recorder = open_home(tmp_path)
    while not recorder.is_drained():
        pass
    recorder.checkpoint()
    recorder.close()
    files = [list(read_lines(path)) for _, path in session_files(tmp_path / "sessions")]
    assert len(files) == 2
    for lines in files:
        assert lines[-1].startswith(b'{"type":"completed"')
        assert b'"reason":"shutdown"' in lines[-1]
