"""The whole dashboard is behind the guard of `access`, and browsers keep files of ours but no recordings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from lunaroute.access.guard import CONTENT_SECURITY_POLICY
from lunaroute.access.policy import COOKIE
from lunaroute.config import Config, DashboardConfig
from lunaroute.dashboard.app import make_app
from lunaroute.supervisor.dashboard import access_policy, dashboard_url

EVERYTHING = ["/", "/sessions", "/api/v1/sessions", "/static/app.css", "/api/v1/live", "/nothing-here"]


@pytest.mark.parametrize("path", EVERYTHING)
def test_a_name_that_was_made_to_point_here_gets_nothing(client: TestClient, path: str) -> None:
    assert client.get(path, headers={"host": "evil.example"}).status_code == 421


@pytest.mark.parametrize("path", EVERYTHING)
def test_a_page_from_elsewhere_reads_nothing(client: TestClient, path: str) -> None:
    assert client.get(path, headers={"origin": "https://evil.example"}).status_code == 403
    assert client.get(path, headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}).status_code == 403


@pytest.mark.parametrize("headers", [{"origin": "https://evil.example"}, {"sec-fetch-site": "same-site"}])
def test_a_page_from_elsewhere_changes_nothing(client: TestClient, headers: dict[str, str]) -> None:
    body = {"name": "theirs", "address": "/sessions"}
    assert client.put("/api/v1/views", json=body, headers=headers).status_code == 403
    assert client.post("/api/v1/sql", json={"statement": "SELECT 1"}, headers=headers).status_code == 403
    assert client.get("/api/v1/marks").json()["views"] == []


def test_probes_need_no_token_and_are_kept_from_foreign_pages(home: Path) -> None:
    app, site = make_app(Config(home=home, dashboard=DashboardConfig(host="0.0.0.0")))
    with TestClient(app, base_url="http://10.1.2.3:8082") as client:
        for path in ("/healthz", "/readyz"):
            assert client.get(path).json() == {"status": "ok"}
            assert client.post(path).status_code == 401
            assert client.get(path, headers={"host": "evil.example"}).status_code == 421
            assert client.get(path, headers={"origin": "https://evil.example"}).status_code == 403
        assert client.get("/health").status_code == 401
    site.recordings.close()


def test_a_dashboard_that_cannot_read_its_index_lives_but_is_not_ready(tmp_path: Path) -> None:
    (tmp_path / "sessions").mkdir()
    (tmp_path / "sessions" / "sessions.db").write_bytes(b"no database" * 1000)
    app, _ = make_app(Config(home=tmp_path))
    with TestClient(app, base_url="http://127.0.0.1:8082") as client:
        assert client.get("/healthz").status_code == 200
        answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (503, "not_ready")


def test_own_pages_and_programs_may_ask(client: TestClient) -> None:
    question = {"statement": "SELECT 1"}
    own = {"origin": "http://127.0.0.1:8082", "sec-fetch-site": "same-origin"}
    assert client.post("/api/v1/sql", json=question, headers=own).status_code == 200
    assert client.post("/api/v1/sql", json=question).status_code == 200


@pytest.mark.parametrize("path", ["/", "/sessions", "/api/v1/fields", "/static/app.css", "/nothing-here"])
def test_every_answer_has_the_strict_policy(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/sessions", "/api/v1/sessions", "/nothing-here", "/static/~1/nothing-here.js"])
def test_browsers_keep_no_recordings(client: TestClient, path: str) -> None:
    assert client.get(path).headers["cache-control"] == "no-store"


def test_browsers_keep_files_for_as_long_as_they_are_the_same(client: TestClient) -> None:
    style = re.search(r'href="(/static/~\w+/)app\.css"', client.get("/").text)
    assert style is not None
    # Scripts import each other from beside themselves.
    for name in ("app.css", "js/app.js", "js/numbers.js", "vendor/inter.woff2"):
        answer = client.get(style[1] + name)
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "public, max-age=31536000, immutable")
    # A page from before an update still finds its scripts.
    assert client.get("/static/~before/js/app.js").headers["cache-control"] == "no-cache"
    assert client.get("/static/~before/../app.py").status_code == 404
    unversioned = client.get("/static/app.css")
    assert unversioned.headers["cache-control"] == "no-cache"
    again = client.get("/static/app.css", headers={"if-none-match": unversioned.headers["etag"]})
    assert (again.status_code, again.headers["cache-control"]) == (304, "no-cache")


BEYOND = DashboardConfig(host="0.0.0.0")


@pytest.fixture
def beyond(home: Path) -> TestClient:
    """A dashboard that listens beyond loopback."""
    app, _ = make_app(Config(home=home, dashboard=BEYOND))
    return TestClient(app, base_url="http://192.0.2.1:8082", follow_redirects=False)


@pytest.mark.parametrize("path", EVERYTHING)
def test_beyond_this_machine_everything_needs_the_token(beyond: TestClient, path: str) -> None:
    assert beyond.get(path).status_code == 401
    assert beyond.get(f"{path}?token=wrong").status_code == 401
    assert beyond.get(path, headers={"authorization": "Bearer wrong"}).status_code == 401
    assert beyond.get(path, headers={"cookie": f"{COOKIE}=wrong"}).status_code == 401


def test_the_printed_address_opens_it_and_leaves_no_token_in_the_address(beyond: TestClient, home: Path) -> None:
    printed = dashboard_url(Config(home=home, dashboard=BEYOND), 8082)
    answer = beyond.get(printed.replace("127.0.0.1", "192.0.2.1"))
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert beyond.get("/sessions").status_code == 200


def test_programs_send_the_token_as_a_header(beyond: TestClient, home: Path) -> None:
    token = access_policy(Config(home=home, dashboard=BEYOND)).token
    assert beyond.get("/api/v1/fields", headers={"authorization": f"Bearer {token}"}).status_code == 200
