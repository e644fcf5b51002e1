"""Fingerprints: the same for the same key and home, and nothing of the key in them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from lunaroute.relay.credentials import Fingerprinter
from lunaroute.relay.salt import load_salt

ONE = Fingerprinter(b"1" * 32)


def test_fingerprint_is_stable_within_a_home_and_different_outside() -> None:
    assert ONE(b"sk-ant-1") == Fingerprinter(b"1" * 32)(b"sk-ant-1")
    assert len({ONE(b"sk-ant-1"), ONE(b"sk-ant-2"), Fingerprinter(b"2" * 32)(b"sk-ant-1")}) == 3


@pytest.mark.parametrize("value", [b"Bearer k", b"bearer  k", b"Basic k", b"Token k", b"k"])
def test_scheme_does_not_count(value: bytes) -> None:
    assert ONE(value) == ONE(b"k")


@pytest.mark.parametrize(
    "name",
    [
        "key",
        "api_key",
        "api-key",
        "apikey",
        "apiKey",
        "x-goog-api-key",
        "access_token",
        "accessToken",
        "client_secret",
        "X-Amz-Signature",
        "sig",
        "code",
        "auth",
        "%6bey",
        "api%5Fkey",
        "api%2dkey",
        "access%255Ftoken",
        "X-Amz-Credential",
        "X-Amz-Security-Token",
        "user[password]",
        "jwt",
        "pwd",
    ],
)
def test_credential_in_the_query_is_replaced(name: str) -> None:
    expected = f"/v1/x?a=1&{name}={ONE(b's3 same')}&b=2"
    assert ONE.clean_target(f"/v1/x?a=1&{name}=s3%20same&b=2") == expected
    assert ONE.clean_target(f"/v1/x?{name}=s3%20same") == f"/v1/x?{name}={ONE(b's3 same')}"


@pytest.mark.parametrize(
    "target", ["/", "/v1/x", "/v1/x?", "/v1/x?alt=sse&beta=true", "/v1/x?keys=1&monkey=2&max_tokens=3", "/a=b?c"]
)
def test_target_without_credentials_stays_as_it_is(target: str) -> None:
    assert ONE.clean_target(target) == target


@pytest.mark.parametrize(
    ("value", "hidden"),
    [
        (b"https://h/x?sig=s3", b"s3"),
        (b"https://u:s3@h/x", b"u:s3"),
        (b"<https://h/?a=1&access_token=s3>; rel=next", b"s3>"),
        (b"/callback#access_token=s3", b"s3"),
        (b"0; url=https://h/?%6bey=s3", b"s3"),
    ],
)
def test_credential_within_an_address_is_replaced(value: bytes, hidden: bytes) -> None:
    assert ONE.clean_url(value) == value.replace(hidden, ONE(hidden).encode())


def test_a_query_of_many_queries_is_read_in_one_pass() -> None:
    assert ONE.clean_target("/x" + "?a=b" * 20_000 + "?key=s3").endswith(f"?key={ONE(b's3')}")


def test_address_without_credentials_stays_as_it_is() -> None:
    for value in (b"https://h:8080/x?a=1#b=2", b"mailto:u@h", b"\xff\xe9?x=1"):
        assert ONE.clean_url(value) == value


def test_salt_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    salt = load_salt(tmp_path)
    assert load_salt(tmp_path) == salt
    assert len(salt) == 32
    assert stat.S_IMODE((tmp_path / "salt").stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["salt"]


def test_salt_that_was_cut_short_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "salt").write_bytes(b"short")
    assert len(load_salt(tmp_path)) == 32
