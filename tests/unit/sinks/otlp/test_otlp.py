"""Spans arrive once each, whatever fails; metrics are what the recorder counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lunaroute.config import Config, SinkConfig
from lunaroute.errors import ConfigError
from lunaroute.events import Event
from lunaroute.events.totalling import add_event
from lunaroute.events.totals import Totals
from lunaroute.sinks.jsonl import JsonlSink
from lunaroute.sinks.otlp.options import OtlpOptions
from lunaroute.sinks.otlp.post import NotTaken
from lunaroute.sinks.otlp.sink import OtlpSink
from lunaroute.sinks.plugin import SinkSurroundings, check_sinks
from lunaroute.testing.sink_contract import SinkContract
from tests.builders import Call, SessionScript, tokens
from tests.otlp_receiver import OtlpReceiver, attributes_of
from tests.support.server import wait_until

Make = Callable[..., OtlpSink]


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    found = OtlpReceiver()
    yield found
    found.close()


@pytest.fixture
def rejected() -> list[tuple[Event, str]]:
    return []


@pytest.fixture
def make(tmp_path: Path, receiver: OtlpReceiver, rejected: list[tuple[Event, str]]) -> Iterator[Make]:
    made: list[OtlpSink] = []

    def make(**options: Any) -> OtlpSink:
        surroundings = SinkSurroundings(
            name="otlp",
            state_dir=tmp_path / "state",
            run_dir=tmp_path,
            sessions_dir=tmp_path / "sessions",
            reject=lambda event, reason: rejected.append((event, reason)),
        )
        usual = {"endpoint": receiver.endpoint, "metrics": False}
        sink = OtlpSink(OtlpOptions(**(usual | options)), surroundings)
        sink.open()
        made.append(sink)
        return sink

    yield make
    for sink in made:
        sink.close()


def test_spans_arrive_with_the_headers_that_were_given(make: Make, receiver: OtlpReceiver) -> None:
    call = Call("Read", "call_1")
    script = SessionScript("a").turn(tokens=tokens(7, 3), calls=[call]).result(call).turn().complete()
    make(headers={"Authorization": "Bearer k"}).write_batch(script.events)
    assert [span.name.split()[0] for span in receiver.spans] == ["chat", "execute_tool", "chat"]
    chat, tool, _ = receiver.spans
    assert (tool.trace_id, tool.parent_span_id) == (chat.trace_id, chat.span_id)
    assert attributes_of(chat)["gen_ai.usage.input_tokens"] == 7
    assert receiver.headers[0]["authorization"] == "Bearer k"


def test_a_batch_that_was_not_taken_comes_again_and_is_there_once(make: Make, receiver: OtlpReceiver) -> None:
    script = SessionScript("a").turn().turn().complete()
    sink = make()
    receiver.statuses = [503, 429, 401]
    for status in (503, 429, 401):
        with pytest.raises(NotTaken, match=f"answered {status}"):
            sink.write_batch(script.events)
    sink.write_batch(script.events)
    sink.write_batch(script.events)
    assert len(receiver.spans) == 2


def test_a_receiver_that_is_down_is_said(make: Make, receiver: OtlpReceiver) -> None:
    sink = make(endpoint="http://127.0.0.1:9")
    with pytest.raises(NotTaken, match=r"http://127\.0\.0\.1:9/v1/traces"):
        sink.write_batch(SessionScript("a").turn().events)


def test_after_a_restart_an_open_exchange_finds_its_request_in_the_file(
    make: Make, receiver: OtlpReceiver, tmp_path: Path
) -> None:
    call = Call("Read", "call_1")
    script = SessionScript("a").ask("x")
    asked = list(script.events)
    script.answer("y", calls=[call]).result(call)
    files = JsonlSink(tmp_path / "sessions")
    files.open()
    files.write_batch(script.events)
    files.close()
    make().write_batch(asked)
    make().write_batch(script.events)
    assert [span.name.split()[0] for span in receiver.spans] == ["chat", "execute_tool"]
    assert receiver.spans[1].parent_span_id == receiver.spans[0].span_id
    make().write_batch(script.events)
    assert len(receiver.spans) == 2


def test_a_crash_between_the_receiver_and_the_mark_repeats_the_same_spans(
    make: Make, receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = SessionScript("a").turn().turn()
    sink = make()
    with monkeypatch.context() as patch:
        patch.setattr(sink._sent, "mark", _die)
        with pytest.raises(KeyboardInterrupt):
            sink.write_batch(script.events)
    make().write_batch(script.events)
    assert len(receiver.spans) == 4
    first, again = receiver.spans[:2], receiver.spans[2:]
    assert [span.SerializeToString() for span in first] == [span.SerializeToString() for span in again]


def _die(_: object) -> None:
    raise KeyboardInterrupt


def test_what_the_receiver_will_never_read_is_a_dead_letter_and_its_neighbours_arrive(
    make: Make, receiver: OtlpReceiver, rejected: list[tuple[Event, str]]
) -> None:
    receiver.poison = "chat bad-model"
    good, bad = SessionScript("a").turn().turn().turn(), SessionScript("b", model="bad-model").turn()
    make().write_batch([*good.events, *bad.events])
    assert len(receiver.spans) == 3
    ((event, reason),) = rejected
    assert event.session_id == bad.session_id
    assert "answered 400" in reason


def test_texts_that_no_protobuf_can_hold_do_not_stop_anything(make: Make, receiver: OtlpReceiver) -> None:
    make(content=True).write_batch(
        SessionScript("a", model="m\ud83d").turn("half \ud83d", "\udc00", outcome="http_error", error="\ud83d").events
    )
    assert len(receiver.spans) == 1


@pytest.mark.parametrize(
    ("semconv", "duration", "tokens_name"),
    [
        ("v1.41", "gen_ai.client.operation.duration", "gen_ai.client.token.usage"),
        ("latest", "gen_ai.client.inference.duration", "gen_ai.client.inference.operation.input_tokens"),
    ],
)
def test_metrics_are_what_the_recorder_counted(
    make: Make, receiver: OtlpReceiver, tmp_path: Path, semconv: str, duration: str, tokens_name: str
) -> None:
    call = Call("Read", "call_1")
    totals = Totals(began_at_s=1000.5)
    script = SessionScript("a", model="m", provider="google").turn(
        tokens=tokens(100, 20, 5, cache_read_tokens=60), cost_usd=0.25, calls=[call], latency_ms=1500
    )
    for event in script.result(call, execution_ms=700).turn(outcome="http_error").events:
        add_event(totals, event)
    (tmp_path / "totals.json").write_bytes(msgspec.json.encode(totals))
    make(metrics=True, semconv=semconv).close()
    (found,) = receiver.metrics
    (point,) = found[duration].histogram.data_points
    assert attributes_of(point) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "gcp.gemini",
        "gen_ai.request.model": "m",
    }
    assert (point.count, point.sum, point.start_time_unix_nano) == (2, pytest.approx(1.6), 1_000_500_000_000)
    assert point.time_unix_nano > point.start_time_unix_nano
    assert (sum(point.bucket_counts), len(point.bucket_counts)) == (2, len(point.explicit_bounds) + 1)
    sizes = {
        attributes_of(one).get("gen_ai.token.type", "input"): one.sum
        for one in found[tokens_name].histogram.data_points
    }
    assert sizes["input"] == 100
    (cost,) = found["lunaroute.cost"].sum.data_points
    assert (cost.as_double, found["lunaroute.cost"].sum.is_monotonic) == (0.25, True)
    outcomes = {
        attributes_of(one)["lunaroute.outcome"]: one.as_int for one in found["lunaroute.exchanges"].sum.data_points
    }
    assert outcomes == {"completed": 1, "http_error": 1}
    if semconv == "latest":
        (read,) = found["gen_ai.client.inference.usage.cache_read.input_tokens"].sum.data_points
        assert read.as_int == 60
        (tool,) = found["gen_ai.execute_tool.duration"].histogram.data_points
        assert (attributes_of(tool), tool.sum) == ({"gen_ai.tool.name": "Read"}, 0.7)


def test_metrics_are_told_while_it_runs_and_only_what_is_new(
    make: Make, receiver: OtlpReceiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    totals = Totals()
    for event in SessionScript("a").turn().events:
        add_event(totals, event)
    (tmp_path / "totals.json").write_bytes(msgspec.json.encode(totals))
    sink = make(metrics=True, metrics_every_s=1)
    wait_until(lambda: len(receiver.metrics) == 1)
    sink.close()
    assert len(receiver.metrics) == 1


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"endpoint": "localhost:4318"}, "endpoint = 'localhost:4318' is not an http(s) URL"),
        ({"semconv": "v1.36"}, "Invalid enum value 'v1.36'"),
        ({"metrics_every_s": 0.1}, "metrics_every_s must be at least 1"),
        ({"endpont": "http://x"}, "unknown key 'endpont' in [sinks.otlp]; did you mean endpoint?"),
    ],
)
def test_a_mistake_in_its_section_is_one_line(options: dict[str, Any], line: str) -> None:
    config = Config(home=Path("/nowhere"), sinks={"otlp": SinkConfig(type="otlp", options=options)})
    with pytest.raises(ConfigError) as caught:
        check_sinks(config)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_its_extra_the_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    config = Config(home=Path("/nowhere"), sinks={"otlp": SinkConfig(type="otlp")})
    with pytest.raises(ConfigError, match=r"pip install 'lunaroute\[otel\]'"):
        check_sinks(config)


class TestContract(SinkContract):
    """A receiver for each place. What it holds are spans by their ids, as receivers keep them."""

    @pytest.fixture(autouse=True)
    def _receivers(self) -> Iterator[None]:
        self.receivers: dict[Path, OtlpReceiver] = {}
        yield
        for one in self.receivers.values():
            one.close()

    def make(self, place: Path) -> OtlpSink:
        if place not in self.receivers:
            self.receivers[place] = OtlpReceiver()
        receiver = self.receivers[place]
        files = JsonlSink(place / "sessions")
        files.open()
        files.write_batch(self.events())
        files.close()
        surroundings = SinkSurroundings(
            name="otlp", state_dir=place / "state", run_dir=place, sessions_dir=place / "sessions", reject=print
        )
        return OtlpSink(OtlpOptions(endpoint=receiver.endpoint, metrics=False), surroundings)

    def read(self, place: Path) -> list[bytes]:
        return sorted(span.SerializeToString() for span in self.receivers[place].spans)
