import pytest

from lunaroute.simulator.directives import Directives, parse_directives
from lunaroute.simulator.turn import RequestRefusedError


def test_header_names_and_values_are_read() -> None:
    found = parse_directives("status=529; retry_after=1;times=2 ; reset", "")
    assert found == Directives(status=529, retry_after="1", times=2, reset=True)


def test_a_marker_in_the_user_text_works_like_the_header() -> None:
    found = parse_directives(None, "please [[simulate: cut_after=1200; gzip]] do it")
    assert found == Directives(cut_after=1200, gzip=True)


def test_the_header_wins_over_the_marker_name_by_name() -> None:
    found = parse_directives("status=429", "[[simulate: status=500; retry_after=3]]")
    assert (found.status, found.retry_after) == (429, "3")


def test_nothing_asked_means_nothing_changed() -> None:
    assert parse_directives(None, "an ordinary request") == Directives()


@pytest.mark.parametrize("text", ["stauts=500", "status=many", "cut_after"[:3]])
def test_an_unknown_name_or_bad_value_is_refused(text: str) -> None:
    with pytest.raises(RequestRefusedError) as caught:
        parse_directives(text, "")
    assert caught.value.status == 400


@pytest.mark.parametrize(("text", "coding"), [("gzip", "gzip"), ("br", "br"), ("zstd", "zstd"), ("close", None)])
def test_the_content_encoding_follows_the_flag(text: str, coding: str | None) -> None:
    assert parse_directives(text, "").content_encoding == coding
