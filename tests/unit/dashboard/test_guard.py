"""Only this machine's own browser gets in, and pages may load nothing from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from lunaroute.config import Config
from lunaroute.dashboard.app import make_app
from lunaroute.dashboard.guard import Guard

TOKEN = "a-token-of-this-home"


@pytest.mark.parametrize("host", ["127.0.0.1:8082", "localhost:1", "LOCALHOST", "[::1]:8082", "127.0.0.1"])
def test_this_machine_gets_in(client: TestClient, host: str) -> None:
    assert client.get("/api/v1/fields", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8082", "localhost.evil.example", "", "[::2]"])
def test_another_name_is_refused(client: TestClient, host: str) -> None:
    """DNS rebinding: the page's own name is turned to 127.0.0.1."""
    answer = client.get("/api/v1/sessions", headers={"host": host})
    assert answer.status_code == 421
    assert "items" not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_another_origin_changes_nothing(client: TestClient, home: Path, headers: dict[str, str]) -> None:
    body = {"name": "theirs", "address": "/sessions"}
    assert client.put("/api/v1/views", json=body, headers=headers).status_code == 403
    assert client.post("/api/v1/sql", json={"statement": "SELECT 1"}, headers=headers).status_code == 403
    assert client.get("/api/v1/marks").json()["views"] == []


def test_own_origin_and_programs_change_what_is_theirs(client: TestClient) -> None:
    question = {"statement": "SELECT 1"}
    own = {"origin": "http://127.0.0.1:8082", "sec-fetch-site": "same-origin"}
    assert client.post("/api/v1/sql", json=question, headers=own).status_code == 200
    assert client.post("/api/v1/sql", json=question).status_code == 200


@pytest.mark.parametrize("path", ["/", "/sessions", "/api/v1/fields", "/static/app.css", "/nothing-here"])
def test_nothing_inline_and_nothing_from_elsewhere(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert "access-control-allow-origin" not in headers


def test_refusals_carry_the_policy_as_well(client: TestClient) -> None:
    assert "content-security-policy" in client.get("/", headers={"host": "evil.example"}).headers


def test_recordings_are_not_kept_by_browsers_and_files_are(client: TestClient) -> None:
    assert client.get("/sessions").headers["cache-control"] == "no-store"
    assert client.get("/api/v1/sessions").headers["cache-control"] == "no-store"
    style = re.search(r'href="(/static/app\.css\?v=\w+)"', client.get("/").text)
    assert style is not None
    assert "immutable" in client.get(style[1]).headers["cache-control"]


@pytest.fixture
def beyond(home: Path) -> TestClient:
    """A dashboard that listens beyond loopback."""
    app, _ = make_app(Config(home=home), hosts=None, token=TOKEN)
    return TestClient(app, base_url="http://192.0.2.1:8082", follow_redirects=False)


@pytest.mark.parametrize("path", ["/", "/sessions", "/api/v1/sessions", "/static/app.css", "/api/v1/live"])
def test_beyond_this_machine_everything_needs_the_token(beyond: TestClient, path: str) -> None:
    assert beyond.get(path).status_code == 401
    assert beyond.get(path, headers={"authorization": "Bearer wrong"}).status_code == 401
    assert beyond.get(f"{path}?token=wrong").status_code == 401
    assert beyond.get(path, headers={"cookie": "lunaroute-token=wrong"}).status_code == 401


def test_token_becomes_a_cookie_that_scripts_cannot_read_and_leaves_the_address(beyond: TestClient) -> None:
    answer = beyond.get(f"/sessions?q=model%3Aopus&token={TOKEN}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sessions?q=model%3Aopus")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert beyond.get("/sessions").status_code == 200


def test_token_does_not_redirect_to_another_host(beyond: TestClient) -> None:
    assert beyond.get(f"http://192.0.2.1:8082//evil.example/?token={TOKEN}").headers["location"] == "/evil.example/"


def test_programs_send_the_token_as_a_header(beyond: TestClient) -> None:
    assert beyond.get("/api/v1/fields", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_any_host_without_a_token_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="token"):
        Guard(lambda *_: None, hosts=None, token=None)  # type: ignore[arg-type, return-value]
