"""Whose a request is, and what it may send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lunaroute.config import TenantLimits, TenantsConfig
from lunaroute.relay.credentials import Fingerprinter
from lunaroute.relay.headers import LineReader
from lunaroute.relay.limits import LimitBook, TenantLimit
from lunaroute.relay.tenants import TenantRules, is_tenant

FINGERPRINT = Fingerprinter(b"salt")
READER = LineReader(FINGERPRINT, FINGERPRINT.clean_url)
SECOND_NS = 1_000_000_000


def _find(
    rules: list[str], header: bytes = b"A: b", tags: tuple[str, ...] = (), credential: str | None = None
) -> object:
    config = TenantsConfig(rules=tuple(rules), credentials={"fp_1": "by-key"})
    return TenantRules(config).find([READER.read(header)], tags, credential)


def test_without_a_rule_nobody_is_anybodys() -> None:
    assert _find([], b"X-Team: t", ("team-x",), "fp_1") == (None, ["team-x"])


def test_each_rule_finds_its_tenant() -> None:
    assert _find(["credential"], credential="fp_1") == ("by-key", [])
    assert _find(["credential"], credential="fp_2") == (None, [])
    assert _find(["header:x-team"], b"X-TEAM:  research ") == ("research", [])
    assert _find(["tag:team-"], tags=("run-1", "team-research")) == ("research", ["run-1"])


def test_the_first_rule_that_knows_counts_and_a_tag_of_a_tenant_is_never_the_sessions() -> None:
    rules = ["credential", "header:x-team", "tag:team-"]
    assert _find(rules, b"X-Team: h", ("team-t",), "fp_1") == ("by-key", [])
    assert _find(rules, b"X-Team: h", ("team-t",), "fp_2") == ("h", [])
    assert _find(rules, b"X-Team: not a name!", ("team-t",), None) == ("t", [])


@given(st.binary(max_size=80).filter(lambda value: b"\r" not in value and b"\n" not in value))
def test_whatever_a_header_says_a_tenant_is_a_short_plain_name(value: bytes) -> None:
    config = TenantsConfig(rules=("header:x-team",))
    tenant, _ = TenantRules(config).find([READER.read(b"X-Team:" + value)], [], None)
    assert tenant is None or (is_tenant(tenant) and tenant.isascii())


def test_a_minutes_requests_may_come_at_once_and_then_as_fast_as_the_limit() -> None:
    limit = TenantLimit("t", TenantLimits(requests_per_minute=6), 1)
    now_ns = 5 * SECOND_NS
    assert [limit.refusal(1, now_ns) is None for _ in range(7)] == [True] * 6 + [False]
    refusal = limit.refusal(1, now_ns + 4 * SECOND_NS)
    assert refusal is not None
    assert (refusal.status_code, refusal.retry_after_s) == (429, 7)
    assert limit.refusal(1, now_ns + 11 * SECOND_NS) is None
    assert limit.refusal(1, now_ns + 11 * SECOND_NS) is not None
    assert sum(limit.refusal(1, now_ns + 3600 * SECOND_NS) is None for _ in range(20)) == 6


@given(st.lists(st.integers(0, 30 * SECOND_NS), max_size=60), st.integers(1, 20))
def test_no_more_pass_than_a_minutes_requests_and_what_time_adds(gaps_ns: list[int], per_minute: int) -> None:
    limit = TenantLimit("t", TenantLimits(requests_per_minute=per_minute), 1)
    now_ns = passed = 1
    passed = 0
    for gap_ns in gaps_ns:
        now_ns += gap_ns
        passed += limit.refusal(1, now_ns) is None
    assert passed <= per_minute + now_ns * per_minute / (60 * SECOND_NS) + 1e-6


def test_workers_share_the_limit() -> None:
    limits = [TenantLimit("t", TenantLimits(requests_per_minute=8), 4) for _ in range(4)]
    assert sum(limit.refusal(1, 1) is None for limit in limits for _ in range(8)) == 8


@pytest.mark.parametrize(("length", "is_refused"), [(10, False), (11, True), (-1, False), (-2, False)])
def test_a_body_has_a_largest_size(length: int, is_refused: bool) -> None:
    refusal = TenantLimit("t", TenantLimits(max_request_bytes=10), 1).refusal(length, 1)
    assert (refusal is not None) is is_refused
    assert refusal is None or (refusal.status_code, refusal.retry_after_s) == (413, 0)


def test_who_is_not_named_has_the_limits_of_all_others_each_for_itself() -> None:
    book = LimitBook({"*": TenantLimits(requests_per_minute=1), "big": TenantLimits(requests_per_minute=9)}, 1)
    assert book.of(None) is None
    assert book.of("a") is book.of("a")
    assert book.of("a") is not book.of("b")
    big = book.of("big")
    assert big is not None
    assert sum(big.refusal(1, 1) is None for _ in range(20)) == 9
    assert LimitBook({"big": TenantLimits()}, 1).of("a") is None


def test_names_without_end_do_not_fill_the_memory() -> None:
    book = LimitBook({"*": TenantLimits(requests_per_minute=1)}, 1)
    found = [book.of(f"t{number}") for number in range(10_050)]
    assert len({id(one) for one in found}) == 10_001
