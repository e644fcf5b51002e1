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

from lunaroute.simulator import anthropic, gemini, listing, openai_chat, openai_responses
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
_JSON = "application/json"


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
        dialect = _generating(head.path)
        entry.dialect = None if dialect is None else dialect.NAME
        dialect = dialect or _named_by(head)
        if not entry.request_id:
            self._request_count += 1
            entry.request_id = dialect.mint_request_id(self._ids)
        return dialect

    def _answer(self, head: RequestHead, raw: bytes, entry: LedgerEntry, dialect: Dialect) -> Answer:
        header = head.get(HEADER)
        if head.method == "HEAD" or listing.is_listing(head.path):
            directives = self._due(parse_directives(header, ""), head, raw, entry)
            if directives.status is not None:
                return self._refusal(dialect, entry, directives.status, directives=directives)
            return self._json(dialect, entry, listing.models(head.path, dialect.NAME), directives)
        if _generating(head.path) is None and not _is_counting(head.path):
            raise RequestRefusedError(404, f"Unknown request URL: {head.method} {head.path}", "unknown_url")
        if head.method != "POST":
            upgrade = (head.get("upgrade") or "").lower() == "websocket"
            status = (parse_directives(header, "").status or 426) if upgrade else 405
            raise RequestRefusedError(status, f"Not allowed: {head.method} {head.path}")
        body = _parsed(raw, head)
        if dialect is gemini:
            body = gemini.asked(head.target, body)
        prompt = dialect.read_prompt(body, self._kept)
        directives = self._due(parse_directives(header, prompt.user_text), head, raw, entry)
        if directives.status is not None:
            return self._refusal(dialect, entry, directives.status, directives=directives)
        if _is_counting(head.path):
            total = sum(token_count(part.canonical) for part in prompt.parts)
            counted = gemini.counted(total) if dialect is gemini else {"input_tokens": total}
            return self._json(dialect, entry, counted, directives)
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
        turn = play(prompt, lambda: dialect.mint_call_id(self._ids, prompt.model), directives.answer_bytes)
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
            headers=self._headers(dialect, entry, dialect.stream_type(body) if prompt.is_stream else _JSON),
            steps=with_failures(steps, directives, dialect, prompt.is_stream),
            is_stream=prompt.is_stream,
            directives=directives,
        )

    def _json(self, dialect: Dialect, entry: LedgerEntry, body: Any, directives: Directives) -> Answer:
        return Answer(
            status=200,
            headers=self._headers(dialect, entry, _JSON),
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
        headers = self._headers(dialect, entry, _JSON)
        if directives.retry_after is not None:
            headers.append(("retry-after", directives.retry_after))
        data = msgspec.json.encode(dialect.error(status, message, code, entry.request_id))
        steps = with_failures([Step(data=data, delay_ms=30.0)], directives, dialect, False)
        return Answer(status=status, headers=headers, steps=steps, is_stream=False, directives=directives)

    def _headers(self, dialect: Dialect, entry: LedgerEntry, kind: str) -> list[tuple[str, str]]:
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


def _generating(path: str) -> Dialect | None:
    """The dialect of a path that generates something; None for every other path."""
    if gemini.method_of(path) in ("generateContent", "streamGenerateContent"):
        return gemini
    return _GENERATING.get(path)


def _is_counting(path: str) -> bool:
    return path == "/v1/messages/count_tokens" or gemini.method_of(path) == "countTokens"


def _named_by(head: RequestHead) -> Dialect:
    """Whose request this is, where the path does not say what it is."""
    if head.path.startswith(("/v1beta/", "/v1alpha/")) or head.get("x-goog-api-key") is not None:
        return gemini
    is_anthropic = head.path.startswith("/v1/messages") or any(
        head.get(name) is not None for name in ("anthropic-version", "x-api-key")
    )
    return anthropic if is_anthropic else openai_chat


def _parsed(raw: bytes, head: RequestHead) -> dict[str, Any]:
    try:
        body = msgspec.json.decode(decoded(raw, head.get("content-encoding")))
    except ValueError as error:
        raise RequestRefusedError(400, f"The request body is not valid JSON: {error}") from error
    if not isinstance(body, dict):
        raise RequestRefusedError(400, "The request body is not a JSON object.")
    return body
