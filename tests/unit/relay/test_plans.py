"""A head seen before is planned as if it were read for the first time."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lunaroute.capture.records import Opening
from lunaroute.config import TenantsConfig
from lunaroute.relay.credentials import Fingerprinter
from lunaroute.relay.headers import LineReader
from lunaroute.relay.heads import BadHead
from lunaroute.relay.limits import LimitBook
from lunaroute.relay.plans import Planner
from lunaroute.relay.routes import Router
from lunaroute.relay.tenants import TenantRules

UPSTREAMS = {"openai": "https://api.openai.com", "anthropic": "http://127.0.0.1:9/base"}


def planner() -> Planner:
    fingerprint = Fingerprinter(b"salt")
    tags = frozenset({b"x-session-tag"})
    lines = LineReader(fingerprint, fingerprint.clean_url)
    rules, limits = TenantRules(TenantsConfig()), LimitBook({}, 1)
    return Planner(Router(UPSTREAMS), lines, fingerprint, tags, rules, limits, msgspec.msgpack.Encoder().encode)


def opening(encoded: bytes) -> Opening:
    return msgspec.msgpack.decode(encoded, type=Opening)


def recorded_lines(encoded: bytes, digits: bytes) -> bytes:
    found = opening(encoded)
    if found.length_at < 0:
        return found.header_lines
    return found.header_lines[: found.length_at] + digits + found.header_lines[found.length_at :]


_LINES = st.lists(
    st.sampled_from(
        [
            b"X-Api-Key: sk-1",
            b"a:b",
            b"A:  b ",
            b"Connection: x-hop",
            b"X-Hop: 1",
            b"X-Session-Tag: t",
            b"X: content-length: 7",
            b"Connection: close",
            b"X-Content-Length: 3",
            b"accept: */*",
            b"Authorization: Bearer content-length:5",
        ]
    ),
    max_size=5,
)
_LENGTH_NAMES = st.sampled_from([b"Content-Length:", b"content-length: ", b"CONTENT-LENGTH:\t ", b"Content-length:  "])
_DIGITS = st.integers(0, 10**18 - 1).map(lambda number: b"%d" % number) | st.sampled_from([b"0", b"007"])


@given(
    _LINES,
    _LINES,
    st.none() | _LENGTH_NAMES,
    st.sampled_from([b"", b" ", b"\t"]),
    st.lists(_DIGITS, min_size=2, max_size=4),
)
def test_plan_found_again_gives_the_bytes_of_a_fresh_reading(
    before: list[bytes], after: list[bytes], name: bytes | None, tail: bytes, lengths: list[bytes]
) -> None:
    shared = planner()
    for digits in lengths:
        length = [] if name is None else [name + digits + tail]
        lines = [b"POST /v1/responses?x HTTP/1.1", b"Host: r", *before, *length, *after]
        head = b"\r\n".join([*lines, b"", b""])
        plan, found_digits = shared.plan(head)
        fresh, fresh_digits = planner().plan(head)
        assert found_digits == fresh_digits == (b"" if name is None else digits)
        assert plan.before + digits * bool(length) + plan.after == fresh.before + digits * bool(length) + fresh.after
        assert recorded_lines(plan.opening, digits) == recorded_lines(fresh.opening, digits)
        assert (plan.head.keep_alive, plan.route) == (fresh.head.keep_alive, fresh.route)
        assert b"".join(length) in plan.before + digits + plan.after


def test_each_length_is_put_where_it_was() -> None:
    shared = planner()
    for digits in (b"5", b"0", b"123456"):
        head = b"POST /v1/messages HTTP/1.1\r\nHost: r\r\nA: 1\r\ncontent-LENGTH:\t%s \r\nx-api-key: k\r\n\r\n" % digits
        plan, found = shared.plan(head)
        expected = head.replace(b"/v1", b"/base/v1").replace(b"Host: r\r", b"Host: 127.0.0.1:9\r")
        assert plan.before + found + plan.after == expected
        assert b"content-LENGTH:\t%s " % digits in recorded_lines(plan.opening, digits)
        assert b"x-api-key: fp_" in recorded_lines(plan.opening, digits)


def test_head_that_was_refused_is_refused_again() -> None:
    shared = planner()
    for _ in range(2):
        with pytest.raises(BadHead):
            shared.plan(b"POST /v1/responses HTTP/1.1\r\nHost: r\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n")
    shared.plan(b"POST /v1/responses HTTP/1.1\r\nHost: r\r\nContent-Length: 5\r\n\r\n")
    for bad in (b"+5", b"5, 5", b"", b"1" * 19, b"0x5", b"-1"):
        with pytest.raises(BadHead):
            shared.plan(b"POST /v1/responses HTTP/1.1\r\nHost: r\r\nContent-Length: %s\r\n\r\n" % bad)


def test_record_of_the_opening_says_where_the_request_went_and_by_whom() -> None:
    plan, _ = planner().plan(
        b"GET /s/run/anthropic/v1/models?key=sesame HTTP/1.1\r\n"
        b"Host: r\r\nAuthorization: Bearer k\r\nX-Session-Tag: more\r\n\r\n"
    )
    found = opening(plan.opening)
    assert (found.listener, found.provider, found.method, found.path) == ("anthropic", "anthropic", "GET", "/v1/models")
    assert found.session_tags == ["run", "more"]
    assert found.credential == Fingerprinter(b"salt")(b"k")
    assert "sesame" not in found.target
    assert b"Bearer" not in found.header_lines
    assert plan.before.startswith(b"GET /base/v1/models?key=sesame HTTP/1.1\r\n")


def test_host_is_added_to_an_http_1_0_request_without_one() -> None:
    plan, _ = planner().plan(b"GET /v1/models HTTP/1.0\r\nA: b\r\n\r\n")
    assert plan.before == b"GET /v1/models HTTP/1.0\r\nHost: api.openai.com\r\nA: b\r\n\r\n"


def test_health_check_has_no_provider() -> None:
    plan, _ = planner().plan(b"GET /lunaroute/health?x HTTP/1.1\r\nHost: r\r\n\r\n")
    assert plan.own == "health"
    assert plan.route is None


@pytest.mark.parametrize("path", ["ready", "anything", "", "v1/messages"])
def test_nothing_below_the_relays_own_path_goes_to_a_provider(path: str) -> None:
    plan, _ = planner().plan(b"GET /lunaroute/%b HTTP/1.1\r\nHost: r\r\nX-Api-Key: k\r\n\r\n" % path.encode())
    assert plan.own
    assert plan.route is None


def test_plans_stay_right_however_many_heads_there_were() -> None:
    shared = planner()
    for _ in range(2):
        for number in range(2500):
            plan, _ = shared.plan(b"GET /v1/models HTTP/1.1\r\nHost: r\r\nN: %d\r\n\r\n" % number)
            assert b"\r\nN: %d\r\n" % number in plan.before


@given(st.binary(min_size=1, max_size=20))
def test_secret_is_in_no_opening(secret: bytes) -> None:
    secret = secret.hex().encode() + b"~"
    assume(len(secret) > 3)
    head = b"GET /v1/models?a=1&api_key=%s HTTP/1.1\r\nHost: r\r\nApi-Key:%s\r\ncookie: a=%s;b\r\n\r\n" % (
        secret,
        secret,
        secret,
    )
    plan, _ = planner().plan(head)
    assert secret not in plan.opening
