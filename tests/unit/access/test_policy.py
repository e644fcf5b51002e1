"""Who passes: names, origins, tokens."""

from __future__ import annotations

from typing import Any

import pytest

from lunaroute.access.policy import (
    COOKIE,
    EVERYBODY,
    AccessPolicy,
    Asked,
    Verdict,
    access_token,
    host_name,
    is_loopback,
    tenant_token,
)

HERE = AccessPolicy.of(host="127.0.0.1", salt=b"s" * 32)
OPEN = AccessPolicy.of(host="0.0.0.0", salt=b"s" * 32)
TOKEN = access_token(b"s" * 32)


def asked(host: str = "127.0.0.1:8082", **fields: object) -> Asked:
    return Asked(**{"method": "GET", "scheme": "http", "hosts": [host], **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize("host", ["127.0.0.1:8082", "localhost:8082", "LOCALHOST", "[::1]:8082", "localhost."])
def test_the_names_of_this_machine_pass(host: str) -> None:
    assert HERE.judge(asked(host)) is Verdict.PASS


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "192.168.1.5:8082", "", "[::1", "a@127.0.0.1"],
)
def test_a_name_that_was_made_to_point_here_does_not(host: str) -> None:
    assert HERE.judge(asked(host)) is Verdict.MISDIRECTED


def test_no_host_and_two_hosts_do_not_pass() -> None:
    for hosts in ([], ["127.0.0.1", "127.0.0.1"]):
        assert HERE.judge(Asked(method="GET", scheme="http", hosts=hosts)) is Verdict.MISDIRECTED


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize(
    "fields",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "https://127.0.0.1:8082"},
        {"fetch_site": "cross-site"},
        {"fetch_site": "same-site", "fetch_mode": "cors"},
        {"fetch_site": "cross-site", "is_websocket": True, "fetch_mode": "navigate"},
    ],
)
def test_what_a_page_from_elsewhere_sends_does_not_pass(method: str, fields: dict[str, object]) -> None:
    assert HERE.judge(asked(method=method, **fields)) is Verdict.FOREIGN


@pytest.mark.parametrize(
    "fields",
    [
        {"origin": "http://127.0.0.1:8082", "method": "POST", "fetch_site": "same-origin"},
        {"fetch_site": "none", "fetch_mode": "navigate"},
        {"fetch_site": "cross-site", "fetch_mode": "navigate"},
        {"is_websocket": True, "origin": "http://127.0.0.1:8082", "fetch_site": "same-origin"},
        {},
    ],
)
def test_our_own_pages_links_to_us_and_programs_pass(fields: dict[str, object]) -> None:
    assert HERE.judge(asked(**fields)) is Verdict.PASS


def test_a_form_from_elsewhere_that_navigates_does_not_write() -> None:
    assert HERE.judge(asked(method="POST", fetch_site="cross-site", fetch_mode="navigate")) is Verdict.FOREIGN


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": TOKEN},
        {"cookie": f"{COOKIE}=wrong; other={TOKEN}"},
        {"cookie": f"{COOKIE}={TOKEN[:-1]}"},
        {"authorization": "Bearer é"},
        {"authorization": "Bearer "},
    ],
)
def test_beyond_loopback_nobody_passes_without_the_token(fields: dict[str, object]) -> None:
    assert OPEN.judge(asked("10.0.0.5:8082", **fields)) is Verdict.UNKNOWN


@pytest.mark.parametrize(
    "fields",
    [{"authorization": f"Bearer {TOKEN}"}, {"authorization": f"bearer  {TOKEN}"}, {"cookie": f"a=b; {COOKIE}={TOKEN}"}],
)
def test_with_the_token_any_address_passes_but_no_foreign_name(fields: dict[str, object]) -> None:
    assert OPEN.judge(asked("10.0.0.5:8082", **fields)) is Verdict.PASS
    assert OPEN.judge(asked("evil.example", **fields)) is Verdict.MISDIRECTED
    named = AccessPolicy.of(host="recorder.lan", salt=b"s" * 32)
    assert named.judge(asked("Recorder.lan:8082", **fields)) is Verdict.PASS


def test_a_token_belongs_to_a_home_and_says_nothing_of_its_salt() -> None:
    assert access_token(b"1" * 32) != access_token(b"2" * 32)
    assert len(TOKEN) == 43
    assert HERE.token is None


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1"])
def test_the_token_of_one_tenant_can_be_taken_back_and_no_other(host: str) -> None:
    """On loopback, too, where without any token everything is shown."""
    salt = b"s" * 32
    policy = AccessPolicy.of(host=host, salt=salt, revocations={"ours": 2})

    def brings(token: str, **more: Any) -> Asked:
        return asked("127.0.0.1:8082", authorization=f"Bearer {token}", **more)

    for number in range(2):
        old = brings(tenant_token(salt, "ours", number))
        assert (policy.judge(old), policy.tenant_of(old)) == (Verdict.UNKNOWN, None)
    for token, tenant in ((tenant_token(salt, "ours", 2), "ours"), (tenant_token(salt, "theirs"), "theirs")):
        assert (policy.judge(brings(token)), policy.tenant_of(brings(token))) == (Verdict.PASS, tenant)
    assert policy.judge(brings(access_token(salt))) is Verdict.PASS
    both = brings(tenant_token(salt, "ours"), cookie=f"{COOKIE}={tenant_token(salt, 'theirs')}")
    assert (policy.judge(both), policy.tenant_of(both)) == (Verdict.PASS, "theirs")


def test_the_token_of_the_home_can_be_taken_back_without_those_of_tenants() -> None:
    salt = b"s" * 32
    policy = AccessPolicy.of(host="0.0.0.0", salt=salt, revocations={EVERYBODY: 1})
    assert policy.token == access_token(salt, 1) != access_token(salt)
    assert [policy.is_token(one) for one in (access_token(salt), access_token(salt, 1), tenant_token(salt, "a"))] == [
        False,
        True,
        True,
    ]
    everything = AccessPolicy.of(host="127.0.0.1", salt=salt, revocations={EVERYBODY: 1})
    old = asked("127.0.0.1", cookie=f"{COOKIE}={access_token(salt)}")
    assert everything.judge(old) is Verdict.PASS


def test_loopback_is_known_in_all_its_forms() -> None:
    assert all(is_loopback(host) for host in ("127.0.0.1", "127.8.9.1", "::1", "localhost"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "192.168.0.1", "example.com", ""))


def test_a_malformed_host_has_no_name() -> None:
    assert [host_name(host) for host in ("a:b", "[::1]x", "[zz]", ":80", "[::1]:")] == [None, None, None, None, None]
