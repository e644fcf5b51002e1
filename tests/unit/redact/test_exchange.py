"""An exchange's heads and bodies: all of them are looked at, and what cannot be is not kept."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import json
import zlib

import msgspec
import pytest

from lunaroute.assemble.exchange import Exchange
from lunaroute.capture.records import HeaderList
from lunaroute.redact.exchange import ExchangeRedactor
from lunaroute.redact.settings import RedactionSettings
from tests.exchanges import EVENT_STREAM, JSON, ExchangeScript
from tests.secrets import SECRETS, sse

KEY = SECRETS["github token"][1]
BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": f"use {KEY}"}]}).encode()
REDACTOR = ExchangeRedactor(RedactionSettings(key=b"k"))


def _exchange(
    body: bytes = BODY, headers: HeaderList | None = None, *, chunks: list[bytes], head: HeaderList
) -> Exchange:
    script = ExchangeScript(body=body, headers=headers, tags=[f"tag {KEY}"])
    script.answer(200, at_ms=20, headers=head)
    for number, chunk in enumerate(chunks):
        script.chunk(chunk, at_ms=30 + number)
    return script.close(at_ms=90)


def test_heads_and_body_of_a_request_are_redacted_and_the_original_is_not_touched() -> None:
    exchange = _exchange(headers=[(b"X-Title", KEY.encode()), (b"X-Other", b"\xe9")], chunks=[b"{}"], head=JSON)
    exchange.opened = msgspec.structs.replace(
        exchange.opened, target=f"/v1/messages?note={KEY}", client_ip="203.0.113.9"
    )
    before = msgspec.msgpack.encode(exchange)
    redacted, said = REDACTOR.request(exchange)
    assert msgspec.msgpack.encode(exchange) == before
    assert KEY.encode() not in msgspec.msgpack.encode(redacted)
    assert (b"X-Title", b"[redacted:github_token]") in redacted.opened.headers
    assert (b"X-Other", b"\xe9") in redacted.opened.headers
    assert redacted.opened.target == "/v1/messages?note=[redacted:github_token]"
    assert redacted.opened.session_tags == ["tag [redacted:github_token]"]
    assert redacted.opened.client_ip == "[redacted:ip]"
    assert json.loads(redacted.request_body)["messages"][0]["content"] == "use [redacted:github_token]"
    assert said.counts == {"github_token": 4, "ip": 1}
    assert said.original_size_bytes == len(BODY)
    assert said.original_hmac_sha256 == hmac.new(b"k", BODY, hashlib.sha256).hexdigest()


def test_what_holds_nothing_is_the_same_body_and_says_that_it_was_looked_at() -> None:
    exchange = _exchange(body=b'{"a":1}', chunks=[b'{"b":', b"2}"], head=JSON)
    exchange.opened = msgspec.structs.replace(exchange.opened, session_tags=[])
    for redacted, said in (REDACTOR.request(exchange), REDACTOR.response(exchange)):
        assert (said.mode, said.counts, said.original_hmac_sha256, said.withheld) == ("mask", {}, None, None)
        assert redacted.request_chunks in (exchange.request_chunks, [])
        assert redacted.response_chunks in (exchange.response_chunks, [])


def test_a_secret_split_between_any_two_reads_is_found_and_each_read_keeps_its_time() -> None:
    body = json.dumps({"content": f"take {KEY} and go"}).encode()
    whole = json.dumps({"content": "take [redacted:github_token] and go"}).encode()
    for at in range(1, len(body)):
        exchange = _exchange(chunks=[body[:at], body[at:]], head=JSON)
        redacted, _ = REDACTOR.response(exchange)
        assert redacted.response_body == whole
        assert [t_ns for t_ns, _ in redacted.response_chunks] == [t_ns for t_ns, _ in exchange.response_chunks]


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_coded_body_is_kept_without_its_coding_where_something_was_found(coding: str) -> None:
    compress = gzip.compress if coding == "gzip" else zlib.compress
    stream = sse([{"delta": {"text": KEY[:9]}}, {"delta": {"text": KEY[9:]}}])
    data = compress(stream)
    head = [*EVENT_STREAM, (b"Content-Encoding", coding.encode())]
    exchange = _exchange(
        compress(BODY), [(b"Content-Encoding", coding.encode())], chunks=[data[:30], data[30:]], head=head
    )
    asked, request = REDACTOR.request(exchange)
    answered, response = REDACTOR.response(exchange)
    assert json.loads(asked.request_body)
    assert b"content-encoding" not in asked.opened.header_lines.lower()
    assert answered.response is not None
    assert b"content-encoding" not in answered.response.header_lines.lower()
    assert answered.response_body.startswith(b"data: {")
    assert len(answered.response_chunks) == 2
    for redacted, said in ((asked.request_body, request), (answered.response_body, response)):
        assert KEY[9:].encode() not in redacted
        assert said.content_encoding_removed == coding
        assert said.withheld is None
    assert response.original_size_bytes == len(data)


def test_a_coded_body_without_a_finding_is_kept_as_it_came() -> None:
    data = gzip.compress(b'{"a":1}')
    exchange = _exchange(chunks=[data], head=[*JSON, (b"Content-Encoding", b"gzip")])
    redacted, said = REDACTOR.response(exchange)
    assert redacted.response_body == data
    assert said.content_encoding_removed is None


@pytest.mark.parametrize(
    ("coding", "data"),
    [(b"snappy", b"\x01\x02\xff" + KEY.encode()), (b"gzip", b"\x00\x01\x02\xff" + KEY.encode())],
)
def test_a_body_that_cannot_be_decoded_is_withheld(coding: bytes, data: bytes) -> None:
    exchange = _exchange(chunks=[data], head=[*JSON, (b"Content-Encoding", coding)])
    redacted, said = REDACTOR.response(exchange)
    assert redacted.response_body == b""
    assert said.withheld
    assert said.original_size_bytes == len(data)


def test_a_cut_body_is_kept_as_far_as_it_could_be_read() -> None:
    data = gzip.compress(b"x " * 3000 + KEY.encode() + bytes(range(256)) * 40)[:-30]
    redacted, said = REDACTOR.response(_exchange(chunks=[data], head=[(b"Content-Encoding", b"gzip")]))
    assert redacted.response_body.startswith(b"x x")
    assert KEY.encode() not in redacted.response_body
    assert said.withheld is not None
    assert "ends inside" in said.withheld


def test_a_text_that_is_not_in_the_coding_it_claims_is_redacted_as_a_text() -> None:
    redacted, said = REDACTOR.response(_exchange(chunks=[BODY], head=[*JSON, (b"Content-Encoding", b"gzip")]))
    assert json.loads(redacted.response_body)["messages"][0]["content"] == "use [redacted:github_token]"
    assert said.withheld is None


def test_an_error_of_the_relay_is_redacted() -> None:
    exchange = ExchangeScript(body=b"").close(at_ms=50, outcome="upstream_unreachable", detail=f"no host {KEY}")
    redacted, _ = REDACTOR.response(exchange)
    assert redacted.closed is not None
    assert redacted.closed.detail == "no host [redacted:github_token]"


def test_unseen_keeps_nothing_that_somebody_wrote() -> None:
    exchange = _exchange(headers=[(b"X-Title", KEY.encode())], chunks=[KEY.encode()], head=[(b"X", KEY.encode())])
    redacted, said = REDACTOR.unseen(exchange, "redaction failed: ValueError")
    assert KEY.encode() not in msgspec.msgpack.encode(redacted)
    assert said.withheld == "redaction failed: ValueError"
