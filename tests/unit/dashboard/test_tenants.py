"""A token of one tenant: whatever is asked with it, nothing of anybody else comes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from lunaroute.access.policy import access_token, tenant_token
from lunaroute.config import Config, DashboardConfig
from lunaroute.dashboard.app import make_app
from lunaroute.dashboard.endpoints import ENDPOINTS
from lunaroute.dashboard.marks import MarksFile, SavedView
from lunaroute.dashboard.openapi import PREFIX
from lunaroute.dashboard.pages import PAGE_ROUTES
from lunaroute.relay.salt import load_salt
from lunaroute.supervisor.revocations import revoke
from tests.builders import Call, SessionScript, tokens
from tests.dashboard_store import add_scripts
from tests.support.server import wait_until

ORIGIN = "http://10.1.2.3:8082"
SECRET = "xylophone"
"""In everything of the other tenant."""


def _script(tenant: str | None, word: str, minutes: int) -> SessionScript:
    start = datetime.now(UTC) - timedelta(minutes=minutes)
    call = Call(f"Tool{word}", f"call_{word}", f'{{"path": "{word}"}}')
    script = SessionScript(word, start, model=f"model-{word}", client=f"client-{word}", tags=[word], tenant=tenant)
    script.turn(f"ask {word}", f"answer {word}", tokens=tokens(100, 10), cost_usd=1.0, calls=[call])
    script.result(call, f"result {word}").turn("more", f"more {word}", tokens=tokens(50, 5), cost_usd=0.5)
    return script


@pytest.fixture(scope="module")
def scripts() -> dict[str, SessionScript]:
    return {
        "ours": _script("ours", "banjo", 50).complete(),
        "theirs": _script("theirs", SECRET, 40).complete(),
        "theirs, open": _script("theirs", f"{SECRET}2", 30).ask(f"open {SECRET}"),
        "like ours": _script("ours-too", f"{SECRET}3", 20).complete(),
        "nobody's": _script(None, f"{SECRET}4", 10).complete(),
    }


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, scripts: dict[str, SessionScript]) -> Path:
    home = tmp_path_factory.mktemp("tenants")
    add_scripts(home, *scripts.values())
    MarksFile(home).save_view(SavedView(name=SECRET, address="/sessions"))
    return home


@pytest.fixture
def app(home: Path) -> Iterator[TestClient]:
    app, site = make_app(Config(home=home, dashboard=DashboardConfig(host="0.0.0.0")))
    with TestClient(app, base_url=ORIGIN, follow_redirects=False) as client:
        yield client
    site.recordings.close()


def _token(home: Path, tenant: str) -> dict[str, str]:
    return {"authorization": f"Bearer {tenant_token(load_salt(home), tenant)}"}


def _addresses(scripts: dict[str, SessionScript]) -> list[tuple[str, str]]:
    """Every address there is, with the ids of every session."""
    found = []
    routes = [("GET", path) for path, _, _ in PAGE_ROUTES] + [(one.method, PREFIX + one.path) for one in ENDPOINTS]
    routes += [("GET", f"{PREFIX}/exchanges/{{request_id}}/{part}") for part in ("request", "response", "curl")]
    routes.append(("GET", "/metrics"))
    for method, path in routes:
        for script in scripts.values():
            request_id = script.events[1].request_id
            for field in ("client", "tag", "tool", "tenant"):
                address = path.replace("{session_id}", script.session_id).replace("{request_id}", request_id)
                found.append((method, address.replace("{field}", field)))
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("question", ["?range=all&by=client", f"?q={SECRET}", "?q=banjo&tab=raw"])
def test_no_address_gives_anything_of_others(
    app: TestClient, home: Path, scripts: dict[str, SessionScript], question: str
) -> None:
    for method, address in _addresses(scripts):
        answer = app.request(method, address + question, headers=_token(home, "ours"))
        text = answer.text.replace(question.removeprefix("?q="), "") if question.startswith("?q=") else answer.text
        ids = [script.session_id for name, script in scripts.items() if name != "ours"]
        assert answer.status_code != 500, address
        assert SECRET not in text, address
        assert not any(one in text for one in ids if one not in address), address


def test_sessions_of_others_cannot_be_compared_with(
    app: TestClient, home: Path, scripts: dict[str, SessionScript]
) -> None:
    ours, theirs = scripts["ours"].session_id, scripts["theirs"].session_id
    for address in (f"/compare?a={ours}&b={theirs}", f"/compare?a={theirs}&b={ours}", f"/compare?a={theirs[:9]}"):
        answer = app.get(address, headers=_token(home, "ours"))
        assert answer.status_code < 500
        assert SECRET not in answer.text


def test_what_is_its_own_is_there_with_right_sums(
    app: TestClient, home: Path, scripts: dict[str, SessionScript]
) -> None:
    headers, ours = _token(home, "ours"), scripts["ours"]
    sessions = app.get(f"{PREFIX}/sessions", headers=headers).json()["items"]
    assert [one["session_id"] for one in sessions] == [ours.session_id]
    (usage,) = app.get(f"{PREFIX}/usage?by=client", headers=headers).json()
    assert (usage["client"], usage["requests"], usage["total_cost_usd"]) == ("client-banjo", 2, 1.5)
    (tool,) = app.get(f"{PREFIX}/tools", headers=headers).json()
    assert (tool["tool"], tool["call_count"]) == ("Toolbanjo", 1)
    (latency,) = app.get(f"{PREFIX}/latency", headers=headers).json()
    assert latency["latency"]["count"] == 2
    hits = app.get(f"{PREFIX}/search?q=banjo", headers=headers).json()["items"]
    assert {hit["session_id"] for hit in hits} == {ours.session_id}
    assert app.get(f"{PREFIX}/values/client", headers=headers).json() == ["client-banjo"]
    for path in ("/", "/sessions", f"/sessions/{ours.session_id}", "/models", "/tools", "/latency", "/search?q=banjo"):
        page = app.get(path, headers=headers)
        assert page.status_code == 200
        assert "banjo" in page.text, path


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", path) for path in ("/sql", "/health", "/setup", "/metrics", f"{PREFIX}/health", f"{PREFIX}/marks")),
        *(("PUT", f"{PREFIX}/{path}") for path in ("views", "queries")),
        ("POST", f"{PREFIX}/sql"),
    ],
)
def test_what_is_of_the_whole_server_is_refused(app: TestClient, home: Path, method: str, path: str) -> None:
    assert app.request(method, path, headers=_token(home, "ours")).status_code == 403
    body = '{"statement": "SELECT 1", "name": "n", "address": "/sessions"}'
    full = {"authorization": f"Bearer {access_token(load_salt(home))}"}
    assert app.request(method, path, headers=full, content=body).status_code == 200


def test_the_token_of_the_server_sees_all_and_filters_by_tenant(app: TestClient, home: Path) -> None:
    full = {"authorization": f"Bearer {access_token(load_salt(home))}"}
    assert len(app.get(f"{PREFIX}/sessions", headers=full).json()["items"]) == 5
    found = app.get(f"{PREFIX}/sessions?q=tenant:theirs", headers=full).json()["items"]
    assert len(found) == 2
    assert app.get(f"{PREFIX}/values/tenant", headers=full).json() == ["ours", "ours-too", "theirs"]


def test_tokens_of_tenants_are_their_own(app: TestClient, home: Path) -> None:
    salt = load_salt(home)
    name, _, digest = tenant_token(salt, "ours").rpartition(".")
    for wrong in (f"theirs.{digest}", f"{name}.", f".{digest}", digest, tenant_token(b"other", "ours"), "ours"):
        assert app.get("/", headers={"authorization": f"Bearer {wrong}"}).status_code == 401
    answer = app.get(f"/sessions?token={tenant_token(salt, 'ours')}&q=banjo")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sessions?q=banjo")
    assert app.get("/sessions").status_code == 200  # by the cookie
    assert app.get("/sql").status_code == 403


def test_a_token_that_is_taken_back_stops_working_in_a_running_server(app: TestClient, home: Path) -> None:
    old, address = _token(home, "taken-back"), f"{PREFIX}/sessions"
    assert app.get(address, headers=old).status_code == 200
    revoke(home, "taken-back")
    wait_until(lambda: app.get(address, headers=old).status_code == 401)
    new = tenant_token(load_salt(home), "taken-back", 1)
    assert app.get(address, headers={"authorization": f"Bearer {new}"}).status_code == 200
    assert app.get(address, headers=_token(home, "ours")).status_code == 200


def test_a_tenant_without_recordings_sees_none(app: TestClient, home: Path) -> None:
    headers = _token(home, "nobody-knows")
    assert app.get(f"{PREFIX}/sessions", headers=headers).json()["items"] == []
    assert app.get(f"{PREFIX}/usage", headers=headers).json() == []
    assert app.get("/", headers=headers).status_code == 200
