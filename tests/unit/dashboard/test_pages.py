"""Every page, as the server writes it."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from lunaroute.config import Config
from lunaroute.dashboard.app import make_app
from lunaroute.dashboard.pages.session import TABS
from lunaroute.dashboard.site import PAGES, STATIC
from tests.builders import SessionScript
from tests.dashboard_store import PAYLOADS, add_events, add_scripts, hostile_script, long_script

ADDRESSES = [address for _, address, _ in PAGES]


class _Tags(HTMLParser):
    """What a browser would make of it, as far as it could do harm."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def tags_of(text: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = _Tags()
    parser.feed(text)
    return parser.found


def assert_harmless(text: str) -> None:
    for tag, attributes in tags_of(text):
        assert tag not in {"iframe", "object", "embed", "base", "style", "math", "img"}, tag
        if tag in {"script", "link"}:
            assert (attributes.get("src") or attributes.get("href") or "").startswith("/static/"), attributes
        for name, value in attributes.items():
            assert not name.startswith(("on", "hx-on", "style", "data-hx-")), (tag, name)
            if name in {"href", "src", "action", "hx-get"}:
                assert not (value or "").strip().lower().startswith(("javascript:", "data:", "vbscript:")), value
                if not (value or "").startswith(("/", "#", "?")):
                    assert tag == "a", value
                    assert "noopener" in (attributes.get("rel") or ""), value


@pytest.mark.parametrize("address", ADDRESSES)
def test_every_page_answers_with_its_own_title_and_place(client: TestClient, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 200
    assert re.search(r"<h1>[^<]+</h1>", answer.text)
    assert answer.text.count('aria-current="page"') == 1
    assert_harmless(answer.text)


@pytest.mark.parametrize("address", ADDRESSES)
def test_every_page_answers_without_recordings(empty: TestClient, address: str) -> None:
    assert empty.get(address).status_code == 200


def test_an_empty_store_leads_to_the_set_up(empty: TestClient) -> None:
    for address in ("/", "/sessions"):
        assert 'href="/setup"' in empty.get(address).text
        assert "Nothing recorded yet" in empty.get(address).text
    assert "Waiting for the first request" in empty.get("/parts/first").text


def test_first_request_is_seen(tmp_path: Path) -> None:
    add_scripts(tmp_path, SessionScript("first").ask("are you there?"))
    app, site = make_app(Config(home=tmp_path))
    client = TestClient(app, base_url="http://127.0.0.1")
    assert "First request seen" in client.get("/parts/first").text
    assert "are you there?" in client.get("/").text or "are you there?" in client.get("/sessions").text
    site.recordings.close()


@pytest.mark.parametrize("address", ["/", "/sessions", "/models", "/tools", "/latency", "/search"])
def test_a_wrong_filter_is_told_beside_what_was_typed(client: TestClient, address: str) -> None:
    answer = client.get(address, params={"q": "modle:<b>opus</b>"})
    assert answer.status_code == 400
    assert html.escape("did you mean 'model'?", quote=True).replace("&#x27;", "&#39;") in answer.text
    assert 'value="modle:&lt;b&gt;opus&lt;/b&gt;"' in answer.text


@pytest.mark.parametrize("address", ["/sessions", "/models", "/latency"])
def test_a_name_that_nobody_recorded_is_told_too(client: TestClient, address: str) -> None:
    assert client.get(address, params={"q": "model:claude-opus-4-6"}).status_code == 400


def test_there_is_no_such_page(client: TestClient) -> None:
    assert client.get("/nothing").status_code == 404
    assert client.get("/sessions/0000").status_code == 404
    assert client.get("/sessions/01a").status_code == 400  # it could be many
    assert client.get("/sessions/nonsense!").status_code == 404
    assert client.get("/static/../app.py").status_code == 404


def test_list_narrows_by_the_filter_of_the_address(client: TestClient) -> None:
    rows = re.findall(r'data-session="([^"]+)"', client.get("/sessions", params={"q": "client:codex"}).text)
    items = client.get("/api/v1/sessions", params={"q": "client:codex"}).json()["items"]
    assert rows == [one["session_id"] for one in items]
    assert rows


def test_list_goes_on_by_key(client: TestClient) -> None:
    text = client.get("/sessions").text
    first = re.findall(r'data-session="([^"]+)"', text)
    more = re.search(r'class="more" hx-get="([^"]+)"', text)
    assert more is not None
    part = client.get(html.unescape(more[1])).text
    second = re.findall(r'data-session="([^"]+)"', part)
    assert "<html" not in part
    assert len(first) == 50
    assert not set(first) & set(second)


def test_each_order_sorts(client: TestClient) -> None:
    ids = re.findall(r'data-session="([^"]+)"', client.get("/sessions?order=cost").text)
    items = client.get("/api/v1/sessions", params={"order": "cost"}).json()["items"]
    assert ids == [one["session_id"] for one in items]


# ---- what sessions are doing


def test_dots_say_what_a_session_is_doing(tmp_path: Path) -> None:
    working = SessionScript("working").ask("one")
    waiting = SessionScript("waiting").turn("two", "yes")
    failed = SessionScript("failed").turn("three", "", outcome="http_error").complete()
    done = SessionScript("done").turn("four", "yes").complete()
    add_scripts(tmp_path, working, waiting, failed, done)
    app, site = make_app(Config(home=tmp_path))
    text = TestClient(app, base_url="http://127.0.0.1").get("/sessions").text
    found = dict(re.findall(r'<tr data-row data-session="([^"]+)" class="(\w+)"', text))
    # The builder's sessions are of long ago, so what waits has been silent for a while.
    assert [found[one.session_id] for one in (working, waiting, failed, done)] == ["working", "idle", "failed", "done"]
    site.recordings.close()


# ---- one session


@pytest.fixture
def longest(client: TestClient) -> str:
    page = client.get("/api/v1/sessions", params={"order": "requests", "limit": 1}).json()
    return str(page["items"][0]["session_id"])


@pytest.mark.parametrize("tab", [name for name, _ in TABS])
def test_every_tab_answers(client: TestClient, longest: str, tab: str) -> None:
    answer = client.get(f"/sessions/{longest}", params={"tab": tab})
    assert answer.status_code == 200
    assert_harmless(answer.text)


def test_a_short_id_is_enough(client: TestClient, longest: str) -> None:
    assert client.get(f"/sessions/{longest[:20]}").status_code == 200


def test_turns_are_read_a_page_at_a_time(tmp_path: Path) -> None:
    script = long_script(70)
    add_scripts(tmp_path, script)
    app, site = make_app(Config(home=tmp_path))
    client = TestClient(app, base_url="http://127.0.0.1")
    text = client.get(f"/sessions/{script.session_id}").text
    seen = re.findall(r"turn (\d+)</p>", text)
    assert seen == [str(n) for n in range(1, 21)]
    assert re.findall(r"result (\d+)</pre>", text) == seen
    while more := re.search(r'hx-get="(/sessions/[^"]+/turns\?from=\d+)"', text):
        text = client.get(more[1]).text
        seen += re.findall(r"turn (\d+)</p>", text)
    assert seen == [str(n) for n in range(1, 71)]
    assert "last words" in text
    middle = client.get(f"/sessions/{script.session_id}?from=50").text
    assert re.findall(r"turn (\d+)</p>", middle)[0] == "50"
    assert "Earlier turns" in middle
    site.recordings.close()


@pytest.mark.parametrize("tab", ["timeline", "tools"])
def test_rows_of_a_long_session_come_in_pages(tmp_path: Path, tab: str) -> None:
    add_scripts(tmp_path, script := long_script(150))
    app, site = make_app(Config(home=tmp_path))
    address, seen = f"/sessions/{script.session_id}?tab={tab}", 0
    with TestClient(app, base_url="http://127.0.0.1:8082") as client:
        while address:
            text = client.get(address).text
            seen += text.count("<tr data-row")
            found = re.search(r'<tr class="more" hx-get="([^"]+)"', text)
            address = found[1] if found else ""
    site.recordings.close()
    assert seen == (151 if tab == "timeline" else 150)


def test_a_running_session_asks_for_what_may_still_change(tmp_path: Path) -> None:
    script = SessionScript("live").turn("the opening", "yes").ask("second")
    add_scripts(tmp_path, script)
    app, site = make_app(Config(home=tmp_path))
    client = TestClient(app, base_url="http://127.0.0.1")
    address = f"/sessions/{script.session_id}/turns?from="
    assert f'hx-get="{address}2" hx-trigger="live from:body"' in client.get(f"/sessions/{script.session_id}").text
    before = len(script.events)
    script.answer("and yes")
    add_events(tmp_path, script.events[before:])
    part = client.get(f"{address}2").text
    assert "and yes" in part
    assert "the opening" not in part
    assert f'hx-get="{address}3" hx-trigger="live from:body"' in part
    assert client.get(f"{address}3").text.count("<section") == 0
    site.recordings.close()


def test_pictures_are_shown_where_they_are_new(tmp_path: Path) -> None:
    picture = b'{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw0KGgo="}}'
    script = SessionScript("picture").turn(
        "look", request_json=b'{"messages":[{"role":"user","content":[%b]}]}' % picture
    )
    add_scripts(tmp_path, script.complete())
    app, site = make_app(Config(home=tmp_path))
    text = TestClient(app, base_url="http://127.0.0.1").get(f"/sessions/{script.session_id}").text
    assert '<img src="data:image/png;base64,iVBORw0KGgo="' in text
    site.recordings.close()


def test_a_link_to_a_turn_opens_the_page_that_has_it(tmp_path: Path) -> None:
    script = long_script(70)
    add_scripts(tmp_path, script)
    app, site = make_app(Config(home=tmp_path))
    client = TestClient(app, base_url="http://127.0.0.1")
    request_id = client.get(f"/api/v1/sessions/{script.session_id}/exchanges").json()[60]["request_id"]
    assert f'id="{request_id}"' in client.get(f"/sessions/{script.session_id}?at={request_id}").text
    site.recordings.close()


def test_diff_shows_what_a_request_added(tmp_path: Path) -> None:
    script = SessionScript("diff")
    first = b'{"model":"m","temperature":1,"messages":[{"role":"user","content":"one"}]}'
    second = (
        b'{"model":"m","temperature":0,"messages":[{"role":"user","content":"one"},{"role":"user","content":"two"}]}'
    )
    script.turn("one", request_json=first).turn("two", request_json=second).complete()
    add_scripts(tmp_path, script)
    app, site = make_app(Config(home=tmp_path))
    client = TestClient(app, base_url="http://127.0.0.1")
    text = client.get(f"/sessions/{script.session_id}/diff?n=2").text
    assert "Request 2 against 1" in text
    assert "temperature" in text
    assert "1 messages unchanged" in text
    assert "messages[1] · user" in text
    assert "first of its thread" in client.get(f"/sessions/{script.session_id}/diff?n=1").text
    site.recordings.close()


def test_raw_shows_bodies_as_they_were(client: TestClient, longest: str) -> None:
    text = html.unescape(client.get(f"/sessions/{longest}/raw?n=1").text)
    assert "POST /v1/" in text
    assert '"role": "user"' in text
    assert "Copy as curl" in text


def test_two_sessions_side_by_side(client: TestClient) -> None:
    one, other = (row["session_id"] for row in client.get("/api/v1/sessions?limit=2").json()["items"])
    text = client.get("/compare", params={"a": one, "b": other[:18]}).text
    assert "Cache hits" in text
    assert one in text
    assert other in text
    assert "no session has an id" in client.get("/compare", params={"a": "0000"}).text


def test_console_names_the_tables(client: TestClient) -> None:
    text = client.get("/sql").text
    for name in ("sessions", "session_stats", "tool_calls", "daily_stats"):
        assert f">{name}</summary>" in text
    assert "provider_latency_ms" in text
    assert "text_search_idx" not in text


def test_search_marks_the_words(client: TestClient) -> None:
    word = client.get("/api/v1/sessions?limit=1&q=client:codex").json()["items"][0]["first_text"].split()[0]
    text = client.get("/search", params={"q": word}).text
    assert f"<mark>{word}</mark>" in text


# ---- hostile recordings


@pytest.mark.parametrize(
    "part", ["", *(f"?tab={name}" for name, _ in TABS), "/raw?n=1", "/diff?n=2", "/raw?n=9", "/diff?n=9"]
)
def test_hostile_text_is_text_in_every_tab(client: TestClient, part: str) -> None:
    text = client.get(f"/sessions/{hostile_id(client)}{part}").text
    assert_harmless(text)
    assert "49 " not in re.sub(r"\d\d:\d\d|\d{3,}", "", text) or "{{ 7 * 7 }}" in html.unescape(text)


def test_hostile_text_is_all_there(client: TestClient) -> None:
    shown = html.unescape(client.get(f"/sessions/{hostile_id(client)}").text)
    for payload in (PAYLOADS[0], PAYLOADS[9]):
        assert payload in shown


@pytest.mark.parametrize("address", [*ADDRESSES, "/search?q=pwned", "/search?q=evil", "/compare?a=0"])
def test_hostile_names_are_text_on_every_page(client: TestClient, address: str) -> None:
    address += f"{'&' if '?' in address else '?'}range=all"
    assert_harmless(client.get(address).text)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_hostile_parameters_are_text(client: TestClient, payload: str) -> None:
    for address in ("/", "/sessions", "/search", "/compare", "/sql"):
        names = ("q", "a", "b", "statement", "order", "marked", "tab", "after", "range")
        for name in names:
            assert_harmless(client.get(address, params={name: payload}).text)


def hostile_id(client: TestClient) -> str:
    item = client.get("/api/v1/sessions", params={"q": "pwned", "limit": 1}).json()["items"][0]
    assert item["first_text"] == hostile_script().events[1].request_text  # type: ignore[union-attr]
    return str(item["session_id"])


# ---- files


def test_everything_vendored_has_its_licence() -> None:
    vendor = STATIC / "vendor"
    told = (vendor / "README.md").read_text()
    for path in vendor.iterdir():
        if path.suffix in {".js", ".css", ".woff2"}:
            assert f"`{path.name}`" in told
            assert (vendor / f"{path.name.split('.')[0]}.LICENSE").exists(), path.name


def test_our_own_files_name_no_other_host() -> None:
    for path in [*STATIC.rglob("*.js"), *STATIC.rglob("*.css")]:
        if "vendor" not in path.parts:
            hosts = set(re.findall(r"https?://([\w.]+)", path.read_text()))
            assert hosts <= {"www.w3.org"}, path.name  # the name of SVG, which nobody asks for
