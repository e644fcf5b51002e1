"""Two sessions turn by turn."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from lunaroute.config import Config
from lunaroute.dashboard.app import make_app
from lunaroute.dashboard.pages.turn_pairs import ComparedTurn, excerpt, pair_turns
from tests.builders import Call, SessionScript
from tests.dashboard_store import add_scripts


def _turns(steps: list[str]) -> list[ComparedTurn]:
    return [
        ComparedTurn(
            number=number,
            request_id=str(number),
            asked=step,
            answered="",
            tools=(),
            input_tokens=None,
            output_tokens=None,
            latency_ms=None,
            cost_usd=None,
            is_failed=False,
        )
        for number, step in enumerate(steps, 1)
    ]


_STEPS = st.lists(st.sampled_from("abc"), max_size=12)


@given(_STEPS, _STEPS)
def test_every_turn_stands_once_and_in_its_order(left: list[str], right: list[str]) -> None:
    pairs = pair_turns(_turns(left), _turns(right))
    assert [pair.left.asked for pair in pairs if pair.left] == left
    assert [pair.right.asked for pair in pairs if pair.right] == right
    for pair in pairs:
        assert pair.left or pair.right
        if pair.is_same:
            assert pair.left
            assert pair.right
            assert pair.left.key == pair.right.key


def test_what_only_one_did_stands_alone() -> None:
    pairs = pair_turns(_turns(["look", "edit", "test"]), _turns(["look", "test"]))
    assert [(pair.left is not None, pair.right is not None) for pair in pairs] == [
        (True, True),
        (True, False),
        (True, True),
    ]


def test_an_excerpt_is_one_line_and_short() -> None:
    assert excerpt("two\n  lines") == "two lines"
    assert len(excerpt("x" * 1000)) < 330


def test_page_shows_the_turns_of_both(tmp_path: Path) -> None:
    read, bash = Call("Read", "c1"), Call("Bash", "c2")
    one = (
        SessionScript("one")
        .turn("mend the cart", "reading", calls=[read])
        .result(read, "…")
        .turn("", "done")
        .complete()
    )
    other = SessionScript("other").turn("mend the cart", "reading", calls=[read]).result(read, "…")
    other.turn("and test it", "running", calls=[bash]).result(bash, "…").turn("", "done").complete()
    add_scripts(tmp_path, one, other)
    app, site = make_app(Config(home=tmp_path))
    with TestClient(app, base_url="http://127.0.0.1:8082") as client:
        text = client.get("/compare", params={"a": one.session_id, "b": other.session_id}).text
        assert text.count('<li class="same">') == 2
        assert text.count('<li class="apart">') == 1
        assert text.count("mend the cart") >= 2
        # With one of them chosen, the page offers the others.
        offered = client.get("/compare", params={"a": one.session_id}).text
        assert f"/compare?a={one.session_id}&amp;b={other.session_id}" in offered
    site.recordings.close()
