"""Each excess is news once, over restarts as well."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from lunaroute.alerts.readings import Reading
from lunaroute.alerts.watch import Firing, Watch, block_until_s
from lunaroute.alerts.words import block_line, line_of

from .test_rule import rule

NOON = datetime.fromisoformat("2026-11-22T12:00:00+01:00")
DAILY = rule("spend per day > 20")
ERRORS = rule("errors > 20% in 15m")
SESSION = rule("spend per session > 5")


def test_an_excess_fires_once_and_is_over_once() -> None:
    watch = Watch({})
    told = [
        [change.what for change in watch.look([(ERRORS, [Reading(value=value)])], NOON)]
        for value in (0.1, 0.3, 0.5, 0.2, 0.2, 0.3)
    ]
    assert told == [[], ["fired"], [], ["over"], [], ["fired"]]


def test_a_budget_fires_anew_in_its_next_period() -> None:
    watch = Watch({})
    midnight = NOON + timedelta(hours=12)

    def look(now: datetime) -> list[str]:
        reading = Reading(value=21.0, ends_at=midnight if now < midnight else midnight + timedelta(days=1))
        return [change.what for change in watch.look([(DAILY, [reading])], now)]

    assert [look(NOON), look(NOON + timedelta(hours=1)), look(midnight)] == [["fired"], [], ["fired"]]


def test_sessions_fire_each_and_go_quietly() -> None:
    watch = Watch({})
    changes = watch.look([(SESSION, [Reading(subject="a", value=6.0), Reading(subject="b", value=7.0)])], NOON)
    assert [(one.subject, one.what) for one in changes] == [("a", "fired"), ("b", "fired")]
    assert watch.look([(SESSION, [])], NOON) == []
    assert watch.firing == {"mine": {}}


def test_a_restart_repeats_nothing() -> None:
    before = Watch({})
    before.look([(DAILY, [Reading(value=21.0, ends_at=NOON + timedelta(hours=12))])], NOON)
    stored = msgspec.json.decode(msgspec.json.encode(before.firing), type=dict[str, dict[str, Firing]])
    after = Watch(stored)
    assert after.look([(DAILY, [Reading(value=22.0, ends_at=NOON + timedelta(hours=12))])], NOON) == []


def test_a_rule_that_is_gone_is_forgotten() -> None:
    watch = Watch({"gone": {"": Firing(since=NOON, value=1.0)}})
    assert watch.look([], NOON) == []
    assert watch.firing == {}


def test_lines_say_what_how_much_and_what_to_do() -> None:
    (change,) = Watch({}).look([(DAILY, [Reading(value=21.456)])], NOON)
    assert line_of(change) == "the spend of the day is $21.46, above $20.00 (rule 'mine')"
    assert block_line(DAILY, 21.456, None) == (
        "blocked: the spend of the day is $21.46, above $20.00; `lunaroute alerts lift mine` lets it pass"
    )
    (stall,) = Watch({}).look([(rule("stall > 60s"), [Reading(subject="r1", value=240)])], NOON)
    assert line_of(stall) == "the silence of r1 is 4.0 min, above 60.0 s (rule 'mine')"


def test_a_block_without_an_end_has_to_be_renewed() -> None:
    assert block_until_s(Firing(since=NOON, value=1.0), NOON) == NOON.timestamp() + 60
    ends_at = NOON + timedelta(hours=12)
    assert block_until_s(Firing(since=NOON, value=1.0, ends_at=ends_at), NOON) == ends_at.timestamp()
