"""One watcher's updates put together again are what is in flight, however seldom it asks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lunaroute.dialects.loose import join_text
from lunaroute.dialects.so_far import Part
from lunaroute.live.catch_up import MAX_TEXT_CHARS, CatchUp
from lunaroute.live.wire import InFlight, Update, encode, read_update


class Growing:
    """An exchange that says what the test says."""

    def __init__(self, request_id: str = "r1") -> None:
        self.version = 0
        self.request_id = request_id
        self.texts: dict[str, list[str]] = {}
        self.names: dict[str, str] = {}

    def say(self, key: str, *pieces: str) -> None:
        self.texts.setdefault(key, []).extend(pieces)
        self.version += 1

    def summary(self) -> InFlight:
        return InFlight(request_id=self.request_id, session_id="s1", provider="p", started_at="")

    def parts(self) -> list[Part]:
        return [Part(key, "text", self.names.get(key), pieces) for key, pieces in self.texts.items()]


class Heard:
    """What a watcher makes of updates."""

    def __init__(self) -> None:
        self.texts: dict[tuple[str, str], str] = {}

    def take(self, update: Update | None) -> None:
        for one in [] if update is None else read_update(encode(update)).exchanges:
            for delta in one.deltas:
                known = self.texts.get((one.request_id, delta.key), "")
                assert delta.at == len(known)
                self.texts[one.request_id, delta.key] = known + delta.text


@given(
    st.lists(
        st.one_of(st.none(), st.tuples(st.sampled_from("ab"), st.text(st.characters(codec="utf-16-le"), max_size=4))),
        max_size=40,
    )
)
def test_updates_add_up_to_the_text(steps: list[tuple[str, str] | None]) -> None:
    growing, catch_up, heard = Growing(), CatchUp(), Heard()
    for step in steps:
        if step is None:
            heard.take(catch_up.update({"r1": growing}, 0))
        else:
            units = step[1].encode("utf-16-le")
            halves = [units[at : at + 2].decode("utf-16-le", "surrogatepass") for at in range(0, len(units), 2)]
            growing.say(step[0], *halves)
    heard.take(catch_up.update({"r1": growing}, 0))
    expected = {("r1", key): join_text(list(pieces)) for key, pieces in growing.texts.items()}
    assert heard.texts == expected
    assert catch_up.update({"r1": growing}, 0) is None


def test_half_a_character_waits_for_its_other_half() -> None:
    growing, catch_up, heard = Growing(), CatchUp(), Heard()
    growing.say("a", "moon ", "\ud83c")
    heard.take(catch_up.update({"r1": growing}, 0))
    assert heard.texts["r1", "a"] == "moon "
    growing.say("a", "\udf19")
    heard.take(catch_up.update({"r1": growing}, 0))
    assert heard.texts["r1", "a"] == "moon 🌙"


def test_a_long_text_comes_in_several_updates() -> None:
    growing, catch_up, heard = Growing(), CatchUp(), Heard()
    growing.say("a", *["x" * 1000] * (3 * MAX_TEXT_CHARS // 1000))
    count = 0
    while (update := catch_up.update({"r1": growing}, 0)) is not None:
        heard.take(update)
        count += 1
    assert count == 3
    assert heard.texts["r1", "a"] == "".join(growing.texts["a"])


def test_what_is_over_is_told_once_and_nothing_is_kept_of_it() -> None:
    catch_up = CatchUp()
    assert catch_up.update({"r1": Growing()}, 7) == Update(feed_end=7, exchanges=[Growing().summary()])
    assert catch_up.update({}, 7) == Update(feed_end=7, ended=["r1"])
    assert catch_up.update({}, 7) is None
    assert catch_up.update({}, 8) == Update(feed_end=8)


def test_a_name_that_comes_late_is_told() -> None:
    growing, catch_up = Growing(), CatchUp()
    growing.say("call", "{")
    catch_up.update({"r1": growing}, 0)
    growing.names["call"] = "Read"
    growing.say("call")
    update = catch_up.update({"r1": growing}, 0)
    assert update is not None
    assert [(one.name, one.text) for one in update.exchanges[0].deltas] == [("Read", "")]
