"""What is found, and what only looks like it."""

from __future__ import annotations

import json

import pytest

from lunaroute.errors import ConfigError
from lunaroute.redact.body import Redactor
from lunaroute.redact.finder import RULES, Finder
from lunaroute.redact.settings import RedactionSettings
from tests.secrets import SECRETS

REDACTOR = Redactor(RedactionSettings(key=b"k", patterns={"badge": r"\bEMP-\d{8}\b"}))


def redacted(text: str) -> str:
    return REDACTOR.text(text.encode()).data.decode()


@pytest.mark.parametrize("kind", SECRETS)
def test_each_kind_is_found_alone_in_json_and_in_json_within_json(kind: str) -> None:
    text, secret = SECRETS[kind]
    once = json.dumps({"a": text, "b": f"\n{text}\n"})
    for form in (text, f"x {text}\ny", once, json.dumps({"arguments": once}), json.dumps([json.dumps([once])])):
        shown = redacted(form)
        assert secret not in shown
        assert json.dumps(secret)[1:-1] not in shown
        assert "[redacted:" in shown


@pytest.mark.parametrize("kind", ["email", "openai key", "slack webhook", "jwt", "own pattern", "google api key"])
def test_what_is_written_in_escapes_is_found(kind: str) -> None:
    text, _ = SECRETS[kind]
    escaped = "".join(f"\\u{ord(character):04x}" for character in text)
    deeper = json.dumps(f'{{"a":"{escaped}"}}')
    for form in (f'{{"a":"{escaped}"}}', f'{{"a":{deeper}}}', json.dumps({"a": text}).replace("/", "\\/")):
        edited = REDACTOR.text(form.encode())
        assert sum(edited.counts.values()) == 1
        assert json.loads(edited.data), "JSON stays JSON"


@pytest.mark.parametrize(
    "text",
    [
        '{"max_tokens": 4096, "usage": {"input_tokens": 1234567890}, "created": 1760000000, "n": 4111111111111112}',
        '{"logprobs":{"content":[{"token":" the","logprob":-0.1}]}}',
        '{"type":"object","properties":{"password":{"type":"string","description":"the password"}}}',
        "toolu_01A09q90qw90lq917835lq9 msg_01XFDUDYJgAACzvnptvVoYEL call_abc123def456ghi789",
        "resp_68af4030592c81938ec0a5fbab4a3e9f05438e46b5f69a3b chatcmpl-9rE8nKx2f5S3H1vXlq0TzvY0",
        "7d9f0c1e-4111-4111-8111-411111111111 2026-11-27T09:00:00.123456Z 127.0.0.1 ::1 0.0.0.0",
        "Mozilla/5.0 Chrome/126.0.0.0 version v1.2.3.4 node_modules/x@1.2.3 std::vector a::b 12:34:56",
        "task-list risk-free-and-safe-and-sound ask-me-anything-you-want disk-usage-of-all-things",
        "PASSWORD=$DB_PASSWORD API_KEY=${KEY} TOKEN=os.environ['T'] SECRET_KEY=<your-key> KEY=your-api-key-here",
        'password = getpass.getpass("x")',
        "git@github.com:owner/repository.git",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "SSN 000-12-3456 666-12-3456 900-12-3456 123-00-4567 card 4111 1111 1111 1112",
    ],
)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert redacted(text) == text


def test_a_match_behind_an_escape_leaves_the_escape_whole() -> None:
    body = json.dumps({"a": "é\tbob@example.com\nalice@example.com\\carol@example.com"})
    assert json.loads(REDACTOR.text(body.encode()).data)["a"].count("[redacted:email]") == 3


def test_a_number_becomes_a_text_and_a_number_in_a_text_does_not_break_it() -> None:
    body = b'{"card":4111111111111111,"a":"codes: 4111111111111111, \\"b\\"","b":[378282246310005]}'
    value = json.loads(REDACTOR.text(body).data)
    assert value == {"card": "[redacted:card]", "a": 'codes: [redacted:card], "b"', "b": ["[redacted:card]"]}


def test_a_body_that_is_nothing_but_a_number_stays_json() -> None:
    assert json.loads(REDACTOR.text(b"4111111111111111").data) == "[redacted:card]"


def test_a_text_in_base64_is_redacted_within() -> None:
    import base64

    text = "the key is " + SECRETS["anthropic key"][1] + ", keep it"
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        run = encode(text.encode()).decode()
        shown = redacted(json.dumps({"data": run}))
        inner = base64.b64decode(json.loads(shown)["data"], altchars=b"-_" if "-" in shown or "_" in run else None)
        assert inner == b"the key is [redacted:anthropic_key], keep it"


def test_modes_say_as_much_as_they_are_to_say() -> None:
    card = b'{"a":"4111 1111 1111 1111","b":"4111 1111 1111 1111","n":4111111111111111}'

    def shown(mode: str, key: bytes = b"k") -> list[str]:
        settings = RedactionSettings(mode=mode, key=key)  # type: ignore[arg-type]
        return list(json.loads(Redactor(settings).text(card).data).values())

    assert shown("mask") == ["[redacted:card]"] * 3
    assert shown("remove") == ["", "", None]
    assert shown("partial") == ["[redacted:card:*1111]"] * 3
    one, again, _ = shown("tokenize")
    assert one == again
    assert one.startswith("[redacted:card:")
    assert shown("tokenize", b"another home") != shown("tokenize")


def test_only_the_wanted_rules_are_followed() -> None:
    settings = RedactionSettings(rules=("ssn", "secrets"))
    edited = Redactor(settings).text(b"078-05-1120 bob@example.com " + SECRETS["groq key"][1].encode())
    assert dict(edited.counts) == {"ssn": 1, "groq_key": 1}


def test_what_is_redacted_already_stays_as_it_is() -> None:
    for mode in ("mask", "tokenize", "partial"):
        redactor = Redactor(RedactionSettings(mode=mode, key=b"k"))  # type: ignore[arg-type]
        once = redactor.text("\n".join(text for text, _ in SECRETS.values()).encode()).data
        assert redactor.text(once).data == once


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (RedactionSettings(rules=("emial",)), "emial"),
        (RedactionSettings(patterns={"x": "("}), "'x'"),
        (RedactionSettings(patterns={"x": "(a)\\1"}), "'x'"),
        (RedactionSettings(patterns={"x": "a*"}), "'x'"),
        (RedactionSettings(patterns={"No Name": "a"}), "No Name"),
    ],
)
def test_settings_that_cannot_be_followed_are_named(settings: RedactionSettings, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        Finder(settings)


def test_rules_have_names_that_can_be_told() -> None:
    assert all(rule.name.replace("_", "").isalnum() and rule.group in ("secrets", "personal") for rule in RULES)
    assert len(RULES) > 90
