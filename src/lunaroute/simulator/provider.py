"""The simulated provider itself: decides what a request is answered with.

In: a request head and body. Out: an `Answer` (status, headers, writes) and what the ledger shall say.
Invariant: it touches no socket; sending is `server`'s and `sender`'s.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from typing import Any

import msgspec

from lunaroute.simulator import anthropic, openai_chat, openai_responses
from lunaroute.simulator.dialect import Conversations, Dialect
from lunaroute.simulator.directives import HEADER, Directives, parse_directives
from lunaroute.simulator.failures import with_failures
from lunaroute.simulator.http import RequestHead, decoded
from lunaroute.simulator.ids import IdMint
from lunaroute.simulator.ledger import LedgerCall, LedgerEntry
from lunaroute.simulator.pace import speaking_ms
from lunaroute.simulator.script import play
from lunaroute.simulator.tokens import PromptCache, token_count
from lunaroute.simulator.turn import Prompt, Reply, RequestRefusedError, Step, Tokens, Turn

_GENERATING: dict[str, Dialect] = {
    "/v1/messages": anthropic,
    "/v1/chat/completions": openai_chat,
    "/v1/responses": openai_responses,
    "/responses": openai_responses,
}
_MODELS = {
    "anthropic": ("claude-opus-4-8", "claude-sonnet-4-6", "claude-haiku-4-5"),
    "openai": ("gpt-5", "gpt-5-mini", "gpt-4.1", "gpt-4o-mini"),
}


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A response to send."""

    status: int
    headers: list[tuple[str, str]]
    """Without those that depend on framing."""
    steps: list[Step]
    is_stream: bool
    directives: Directives = Directives()


class Provider:
    """One provider's state: ids, prompt cache, stored conversations, how often each request was seen."""

    def __init__(self, seed: str) -> None:
        self._ids = IdMint(seed)
        self._cache = PromptCache()
        self._kept = Conversations()
        self._attempts: Counter[str] = Counter()
        self._request_count = 0

    def answer(self, head: RequestHead, body: bytes, entry: LedgerEntry) -> Answer:
        """The answer to a request; fills in the entry's side of the truth."""
        dialect = self._greet(head, entry)
        try:
            return self._answer(head, body, entry, dialect)
        except RequestRefusedError as refused:
            return self._refusal(dialect, entry, refused.status, message=refused.message, code=refused.code)

    def early_answer(self, head: RequestHead, entry: LedgerEntry) -> Answer | None:
        """An answer given on the head alone, where the request asks for one."""
        if head.get(HEADER) is None:
            return None
        dialect = self._greet(head, entry)
        try:
            directives = parse_directives(head.get(HEADER), "")
        except RequestRefusedError:
            return None  # `answer` will say what is wrong with it
        if not directives.early_response:
            return None
        entry.directives = _given(directives)
        return self._refusal(dialect, entry, directives.status or 413, directives=directives)

    def _greet(self, head: RequestHead, entry: LedgerEntry) -> Dialect:
        """The dialect of a request; gives it its request id."""
        dialect = _GENERATING.get(head.path) or (anthropic if _is_anthropic(head) else openai_chat)
        if not entry.request_id:
            self._request_count += 1
            made = self._ids.text("req_011C", 20) if dialect is anthropic else self._ids.hex("req_", 32)
            entry.request_id = made
        entry.dialect = _GENERATING[head.path].NAME if head.path in _GENERATING else None
        return dialect

    def _answer(self, head: RequestHead, raw: bytes, entry: LedgerEntry, dialect: Dialect) -> Answer:
        header = head.get(HEADER)
        if head.path == "/v1/models" or head.path.startswith("/v1/models/") or head.method == "HEAD":
            directives = self._due(parse_directives(header, ""), head, raw, entry)
            if directives.status is not None:
                return self._refusal(dialect, entry, directives.status, directives=directives)
            return self._json(dialect, entry, _models(head), directives)
        if head.path not in (*_GENERATING, "/v1/messages/count_tokens"):
            raise RequestRefusedError(404, f"Unknown request URL: {head.method} {head.path}", "unknown_url")
        if head.method != "POST":
            upgrade = (head.get("upgrade") or "").lower() == "websocket"
            status = (parse_directives(header, "").status or 426) if upgrade else 405
            raise RequestRefusedError(status, f"Not allowed: {head.method} {head.path}")
        body = _parsed(raw, head)
        prompt = dialect.read_prompt(body, self._kept)
        directives = self._due(parse_directives(header, prompt.user_text), head, raw, entry)
        if directives.status is not None:
            return self._refusal(dialect, entry, directives.status, directives=directives)
        if head.path == "/v1/messages/count_tokens":
            total = sum(token_count(part.canonical) for part in prompt.parts)
            return self._json(dialect, entry, {"input_tokens": total}, directives)
        return self._generate(dialect, body, prompt, directives, entry)

    def _due(self, directives: Directives, head: RequestHead, raw: bytes, entry: LedgerEntry) -> Directives:
        """The directives, unless this request has had its share of them already."""
        if directives.times is not None:
            key = hashlib.sha256(head.target.encode() + b"\0" + raw).hexdigest()
            self._attempts[key] += 1
            if self._attempts[key] > directives.times:
                directives = Directives()
        entry.directives = _given(directives)
        return directives

    def _generate(
        self, dialect: Dialect, body: dict[str, Any], prompt: Prompt, directives: Directives, entry: LedgerEntry
    ) -> Answer:
        turn = play(prompt, lambda: dialect.mint_call_id(self._ids), directives.answer_bytes)
        if body.get("generate") is False:  # Responses over a WebSocket: only to be prepared for
            turn = Turn(thinking="", text="", calls=())
        reply = Reply(
            body=body,
            prompt=prompt,
            turn=turn,
            tokens=_charged(self._cache.charge(prompt, turn), directives.thinking_tokens),
            id=dialect.mint_id(self._ids),
            created_s=int(time.time()),
            is_usage_hidden=directives.no_usage,
            is_thinking_usage_hidden=directives.no_thinking_usage,
        )
        _note(entry, reply, dialect)
        if prompt.is_stream:
            steps = dialect.stream(reply, self._ids, self._kept)
        else:
            whole = msgspec.json.encode(dialect.whole(reply, self._ids, self._kept))
            steps = [Step(data=whole, delay_ms=speaking_ms(reply.id, turn))]
        return Answer(
            status=200,
            headers=self._headers(dialect, entry, prompt.is_stream),
            steps=with_failures(steps, directives, dialect, prompt.is_stream),
            is_stream=prompt.is_stream,
            directives=directives,
        )

    def _json(self, dialect: Dialect, entry: LedgerEntry, body: Any, directives: Directives) -> Answer:
        return Answer(
            status=200,
            headers=self._headers(dialect, entry, is_stream=False),
            steps=with_failures([Step(data=msgspec.json.encode(body), delay_ms=20.0)], directives, dialect, False),
            is_stream=False,
            directives=directives,
        )

    def _refusal(
        self,
        dialect: Dialect,
        entry: LedgerEntry,
        status: int,
        *,
        message: str | None = None,
        code: str | None = None,
        directives: Directives = Directives(),  # noqa: B008 - frozen
    ) -> Answer:
        headers = self._headers(dialect, entry, is_stream=False)
        if directives.retry_after is not None:
            headers.append(("retry-after", directives.retry_after))
        data = msgspec.json.encode(dialect.error(status, message, code, entry.request_id))
        steps = with_failures([Step(data=data, delay_ms=30.0)], directives, dialect, False)
        return Answer(status=status, headers=headers, steps=steps, is_stream=False, directives=directives)

    def _headers(self, dialect: Dialect, entry: LedgerEntry, is_stream: bool) -> list[tuple[str, str]]:
        kind = "text/event-stream; charset=utf-8" if is_stream else "application/json"
        date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())
        own = dialect.headers(entry.request_id, 120, self._request_count)
        return [("Date", date), ("Content-Type", kind), *own, ("server", "simulator")]


def _note(entry: LedgerEntry, reply: Reply, dialect: Dialect) -> None:
    entry.model = reply.prompt.model
    entry.is_stream = reply.prompt.is_stream
    entry.response_id = reply.id
    entry.text, entry.thinking = reply.turn.text, reply.turn.thinking
    entry.tool_calls = [LedgerCall(id=c.id, name=c.name, arguments=c.arguments) for c in reply.turn.calls]
    entry.usage = dialect.usage(reply)
    is_asked = (reply.body.get("stream_options") or {}).get("include_usage") or dialect is not openai_chat
    entry.is_usage_served = not reply.is_usage_hidden and bool(is_asked or not reply.prompt.is_stream)


def _charged(tokens: Tokens, thinking_tokens: int | None) -> Tokens:
    """The tokens with another count of thinking, where one was asked for."""
    if thinking_tokens is None:
        return tokens
    output_tokens = tokens.output_tokens - tokens.thinking_tokens + thinking_tokens
    return msgspec.structs.replace(tokens, output_tokens=output_tokens, thinking_tokens=thinking_tokens)


def _given(directives: Directives) -> dict[str, Any]:
    """The directives that differ from their defaults."""
    default = Directives()
    fields = Directives.__struct_fields__
    return {name: getattr(directives, name) for name in fields if getattr(directives, name) != getattr(default, name)}


def _is_anthropic(head: RequestHead) -> bool:
    return head.path.startswith("/v1/messages") or any(
        head.get(name) is not None for name in ("anthropic-version", "x-api-key")
    )


def _parsed(raw: bytes, head: RequestHead) -> dict[str, Any]:
    try:
        body = msgspec.json.decode(decoded(raw, head.get("content-encoding")))
    except ValueError as error:
        raise RequestRefusedError(400, f"The request body is not valid JSON: {error}") from error
    if not isinstance(body, dict):
        raise RequestRefusedError(400, "The request body is not a JSON object.")
    return body


def _models(head: RequestHead) -> dict[str, Any]:
    if _is_anthropic(head):
        made = "2026-01-01T00:00:00Z"
        listed = [
            {"type": "model", "id": name, "display_name": name, "created_at": made} for name in _MODELS["anthropic"]
        ]
        ends = {"first_id": listed[0]["id"], "last_id": listed[-1]["id"]}
        whole: dict[str, Any] = {"data": listed, "has_more": False, **ends}
    else:
        listed_openai = [
            {"id": name, "object": "model", "created": 1_767_225_600, "owned_by": "system"}
            for name in _MODELS["openai"]
        ]
        whole = {"object": "list", "data": listed_openai}
    name = head.path.removeprefix("/v1/models").strip("/")
    if not name:
        return whole
    found: list[dict[str, Any]] = [model for model in whole["data"] if model["id"] == name]
    if not found:
        raise RequestRefusedError(404, f"model: {name}", "model_not_found")
    return found[0]
