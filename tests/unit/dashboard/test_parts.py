"""The small parts: numbers, bars, Markdown, tool calls, differences, marks, the stream of changes."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunaroute.access.policy import access_token
from lunaroute.archive.housekeeper import write_report
from lunaroute.archive.retention import PruneReport
from lunaroute.config import Config, DashboardConfig, StorageConfig
from lunaroute.dashboard import numbers
from lunaroute.dashboard.asked import read_asked
from lunaroute.dashboard.bars import latency_bar, share_bar, sparkline, token_bar
from lunaroute.dashboard.body_diff import diff_bodies
from lunaroute.dashboard.health import list_settings, read_health
from lunaroute.dashboard.hub import Hub
from lunaroute.dashboard.live import Live
from lunaroute.dashboard.markdown import LONGEST_CHARS, render_code, render_markdown
from lunaroute.dashboard.marks import MarksFile, SavedView
from lunaroute.dashboard.tool_view import edit_of, headline
from lunaroute.errors import FilterError, LunarouteError
from lunaroute.relay.salt import load_salt
from lunaroute.supervisor.dashboard import access_policy, dashboard_url
from tests.builders import SessionScript
from tests.dashboard_store import PAYLOADS, add_scripts

from .test_pages import assert_harmless

NOW = datetime(2026, 11, 22, 10, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "$0"),
        (0.0123456, "$0.01235"),
        (0.5, "$0.5"),
        (0.00000123, "$0.00000123"),
        (1234.5, "$1,234.50"),
    ],
)
def test_money_has_four_digits_below_a_dollar(value: float | None, text: str) -> None:
    assert numbers.usd(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (999, "999"), (1234, "1.23k"), (999_950, "1M"), (2_650_000, "2.65M")]
)
def test_counts_are_short(value: float, text: str) -> None:
    assert numbers.short(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.421, "0.42 ms"),
        (84.2, "84 ms"),
        (2345, "2.35 s"),
        (72_000, "1 m 12 s"),
        (7_500_000, "2 h 5 m"),
        (2e8, "2 d 7 h"),
    ],
)
def test_durations_are_for_people(value: float, text: str) -> None:
    assert numbers.ms(value) == text


@given(st.floats(0, 1e15))
def test_every_number_can_be_written(value: float) -> None:
    for write in (numbers.usd, numbers.short, numbers.ms, numbers.size, numbers.percent, numbers.count):
        assert 1 <= len(write(value)) <= 30


@given(*[st.integers(0, 10**9) | st.none()] * 4)
def test_bars_are_svg_and_stay_inside(
    read: int | None, written: int | None, fresh: int | None, output: int | None
) -> None:
    whole = None if fresh is None else fresh + (read or 0) + (written or 0)
    for bar in (
        token_bar(whole, read, written, output, 10**10),
        share_bar(read, written),
        latency_bar(read, written, fresh),
    ):
        for rect in ElementTree.fromstring(str(bar)).iter("rect"):
            assert 0 <= float(rect.get("x", 0)) <= 100.001
            assert 0 < float(rect.get("width", 0)) <= 100.6


def test_sparkline_of_nothing_is_empty() -> None:
    assert "polyline" not in sparkline([])
    assert "polyline" not in sparkline([None, None])
    assert "polyline" in sparkline([1, None, 3])


# ---- text


@pytest.mark.parametrize("payload", PAYLOADS)
def test_markdown_does_nothing(payload: str) -> None:
    assert_harmless(render_markdown(payload))


@given(st.text(st.sampled_from("<>&\"'`[]()!*_ \n#|-:/aj=\\~1."), max_size=80))
def test_markdown_of_anything_does_nothing(text: str) -> None:
    assert_harmless(render_markdown(text))


def test_markdown_is_marked_up() -> None:
    text = render_markdown(
        "# T\n\n- **b** `c`\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```py\nx < 1\n```\n[l](https://example.com)"
    )
    for part in ("<h1>T", "<strong>b", "<code>c", "<td>1", "x &lt; 1", 'href="https://example.com"'):
        assert part in text


def test_images_become_links() -> None:
    text = render_markdown("![a cat](https://example.com/cat.png)")
    assert "<img" not in text
    assert 'href="https://example.com/cat.png"' in text


def test_very_long_text_is_shown_as_it_is() -> None:
    assert render_markdown("**b** " * LONGEST_CHARS).startswith('<pre class="plain">**b**')


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ('{"description":"List","command":"ls -la\\n/tmp"}', "ls -la /tmp"),
        ('{"command":["bash","-lc","make"]}', "bash -lc make"),
        ('{"file_path":"/a/b.py","content":"…"}', "/a/b.py"),
        ('{"limit":5,"deep":{"a":1}}', "limit=5"),
        ("not json", "not json"),
        ("", ""),
        ("[1,2]", "[1,2]"),
    ],
)
def test_a_call_is_one_line(arguments: str, line: str) -> None:
    assert headline(arguments) == line


def test_edits_are_shown_as_changes() -> None:
    one = edit_of(json.dumps({"file_path": "a.py", "old_string": "x = 1\ny = 2", "new_string": "x = 1\ny = 3"}))
    assert [(line.kind, line.text) for line in one if line.kind in ("added", "removed")] == [
        ("removed", "y = 2"),
        ("added", "y = 3"),
    ]
    many = edit_of(
        json.dumps({"edits": [{"old_string": "a", "new_string": "b"}, {"old_string": "c", "new_string": "d"}]})
    )
    assert [line.text for line in many if line.kind == "added"] == ["b", "d"]
    patch = edit_of(json.dumps({"input": "*** Begin Patch\n*** Update File: a\n@@\n-old\n+new\n same\n*** End Patch"}))
    assert [line.text for line in patch if line.kind in ("added", "removed")] == ["old", "new"]
    assert edit_of('{"command":"ls"}') == edit_of("nonsense") == edit_of('{"edits":[1,null]}') == []


def test_bodies_differ_by_their_parts() -> None:
    old = {
        "model": "a",
        "tools": [1],
        "messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}],
    }
    new = {
        "model": "b",
        "tools": [1],
        "messages": [{"role": "user", "content": "x"}, {"role": "user", "content": "z"}],
        "top_k": 1,
    }
    found = diff_bodies(json.dumps(old).encode(), json.dumps(new).encode())
    assert found is not None
    assert [(part.name, part.change) for part in found.parts] == [
        ("model", "changed"),
        ("top_k", "added"),
        ("messages[1] · user", "changed"),
    ]
    assert (found.same_messages, found.same_settings) == (1, ["tools"])
    assert diff_bodies(b"[]", b"{}") is None
    assert diff_bodies(b"\xff", b"{}") is None


# ---- what is asked for


def test_range_counts_where_the_filter_names_no_time() -> None:
    assert read_asked({"range": "24h"}, now=NOW).wanted.since == datetime(2026, 11, 21, 10, 30, tzinfo=UTC)
    assert read_asked({"range": "24h", "q": "since:2026-11-01"}, now=NOW).wanted.since == datetime(
        2026, 11, 1, tzinfo=UTC
    )
    assert read_asked({"range": "all"}, now=NOW).wanted.since is None


def test_span_before_is_as_long() -> None:
    asked = read_asked({"range": "7d", "q": "model:opus"}, now=NOW)
    assert asked.previous is not None
    assert asked.previous.until == asked.wanted.since
    assert asked.previous.conditions == asked.wanted.conditions
    assert read_asked({}, now=NOW).previous is None


def test_charts_are_by_hour_for_short_spans() -> None:
    assert [read_asked({"range": name}, now=NOW).grain for name in ("1h", "24h", "7d", "all")] == [
        "hour",
        "hour",
        "day",
        "day",
    ]


# ---- marks


def test_damaged_marks_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "dashboard.json").write_text("{")
    with pytest.raises(LunarouteError, match="cannot read"):
        MarksFile(tmp_path).star("x", is_starred=True)
    assert (tmp_path / "dashboard.json").read_text() == "{"


@pytest.mark.parametrize("name", ["", "  ", "x" * 81, "two\nlines"])
def test_names_of_marks_are_short_and_plain(tmp_path: Path, name: str) -> None:
    with pytest.raises(FilterError):
        MarksFile(tmp_path).save_view(SavedView(name=name, address="/"))


def test_marks_have_an_end(tmp_path: Path) -> None:
    marks = MarksFile(tmp_path)
    marks.read()
    (tmp_path / "dashboard.json").write_text(json.dumps({"stars": [str(n) for n in range(500)]}))
    with pytest.raises(FilterError, match="more than 500"):
        marks.star("one more", is_starred=True)


# ---- settings and addresses


def test_health_tells_what_the_housekeeper_did(tmp_path: Path) -> None:
    config = Config(home=tmp_path, storage=StorageConfig(delete_bodies_after="30d"))
    assert "Housekeeper" not in [check.name for check in read_health(config, None).checks]
    config.run_dir.mkdir()
    write_report(config.run_dir, PruneReport())
    idle = next(check for check in read_health(config, None).checks if check.name == "Housekeeper")
    assert (idle.state, idle.value) == ("good", "nothing was due")
    assert "compresses at once, deletes bodies after 30d, deletes sessions never" in idle.meaning
    report = PruneReport()
    report.bodies_deleted, report.freed_bytes, report.left_alone = 3, 2_500_000, ["01a2: its file is open"]
    write_report(config.run_dir, report)
    busy = next(check for check in read_health(config, None).checks if check.name == "Housekeeper")
    assert (busy.state, busy.value) == ("warning", "3 sessions without bodies now, 2.5 MB freed")
    assert "Left alone: 01a2: its file is open." in busy.meaning


def test_code_in_a_sentence_is_marked_up() -> None:
    assert render_code("`lunaroute serve` <starts> it") == "<code>lunaroute serve</code> &lt;starts&gt; it"


def test_settings_show_what_was_changed(tmp_path: Path) -> None:
    changed = Config(home=tmp_path, dashboard=DashboardConfig(host="0.0.0.0"))
    assert [one.key for one in list_settings(changed) if not one.is_default] == ["dashboard.host"]


def test_only_beyond_this_machine_a_token_is_needed(tmp_path: Path) -> None:
    assert access_policy(Config(home=tmp_path)).token is None
    assert dashboard_url(Config(home=tmp_path), 8082) == "http://127.0.0.1:8082/"
    beyond = Config(home=tmp_path, dashboard=DashboardConfig(host="0.0.0.0"))
    token = access_policy(beyond).token
    assert token is not None
    assert token == access_token(load_salt(tmp_path))
    assert dashboard_url(beyond, 8082) == f"http://127.0.0.1:8082/?token={token}"


# ---- live


def test_a_change_reaches_everybody_who_listens(tmp_path: Path) -> None:
    add_scripts(tmp_path, SessionScript("one").turn())

    async def listen() -> list[list[bytes]]:
        hub = Hub(Config(home=tmp_path), look_every_s=0.02)
        live = Live(hub)
        streams = [live.events(), live.events()]
        heard = [[await anext(stream), await anext(stream)] for stream in streams]
        await asyncio.sleep(0.1)
        add_scripts(tmp_path, SessionScript("two").turn())
        for stream, lines in zip(streams, heard, strict=True):
            lines.append(await asyncio.wait_for(anext(stream), 20))
        hub.close()
        assert [line async for line in streams[0]] == []
        await streams[1].aclose()
        return heard

    for lines in asyncio.run(listen()):
        assert lines[0].startswith(b"retry: ")
        assert all(line.startswith(b"event: change\ndata: ") for line in lines[1:])
        assert lines[1] != lines[2]
