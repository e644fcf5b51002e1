"""Sinks of installed packages are found, and what is wrong with one or with its options is one clear line."""

from __future__ import annotations

from pathlib import Path

import pytest

from lunaroute.config import Config, SinkConfig
from lunaroute.errors import ConfigError
from lunaroute.sinks.plugin import SinkSurroundings, check_sinks, make_sink
from tests.plugins import install

_MODULE = """
import msgspec
from lunaroute.sinks.plugin import SinkPlugin


class Options(msgspec.Struct):
    url: str
    table: str = "events"


class Sink:
    def __init__(self, options, surroundings):
        self.name, self.options = surroundings.name, options


good = SinkPlugin(options=Options, make=Sink)
bad = "no plugin"
"""
_PROJECT = """
[project.entry-points."lunaroute.sinks"]
good = "some_sinks:good"
bad = "some_sinks:bad"
gone = "some_sinks_that_are_not_there:plugin"
"""


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "packages", "some_sinks", _MODULE, _PROJECT)
    monkeypatch.syspath_prepend(tmp_path / "packages")


def _config(kind: str, **options: object) -> Config:
    return Config(home=Path("/nowhere"), sinks={"mine": SinkConfig(type=kind, options=options)})


def test_a_sink_is_made_with_its_options_and_surroundings(tmp_path: Path) -> None:
    surroundings = SinkSurroundings(
        name="mine", state_dir=tmp_path, run_dir=tmp_path, sessions_dir=tmp_path, reject=print
    )
    sink = make_sink(SinkConfig(type="good", options={"url": "x"}), surroundings)
    assert (sink.name, sink.options.url, sink.options.table) == ("mine", "x", "events")  # type: ignore[attr-defined]


def test_a_right_configuration_passes_the_check() -> None:
    check_sinks(_config("good", url="x", table="y"))


@pytest.mark.parametrize(
    ("kind", "options", "line"),
    [
        ("goood", {}, "[sinks.mine]: no installed package offers the sink 'goood'; did you mean good?"),
        ("bad", {}, "[sinks.mine]: some_sinks:bad is no SinkPlugin"),
        ("gone", {}, "[sinks.mine]: the sink 'gone' cannot be loaded: No module named 'some_sinks_that_are_not_there'"),
        ("good", {"url": "x", "tabel": "y"}, "unknown key 'tabel' in [sinks.mine]; did you mean table?"),
        ("good", {"url": 1}, "[sinks.mine]: Expected `str`, got `int` - at `$.url`"),
        ("good", {}, "[sinks.mine]: Object missing required field `url`"),
    ],
)
def test_a_mistake_is_one_line(kind: str, options: dict[str, object], line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_sinks(_config(kind, **options))
    assert str(caught.value) == line
