"""Requests and answers told one after the other, each placed as the recorder places it."""

from __future__ import annotations

import json
from typing import Any

from lunaroute.capture.records import Outcome, join_headers
from lunaroute.dialects import reader_for
from lunaroute.dialects.facts import ResponseFacts, ToolCall
from lunaroute.dialects.marks import marked
from lunaroute.sessions import (
    Clues,
    EndedExchange,
    Identity,
    Instant,
    OpenExchange,
    SessionBook,
    header_texts,
    locate,
    remember_request,
    remember_response,
)

SECOND = 1_000_000_000
START = 1_790_000_000 * SECOND
SCOPE = "anthropic\0key"
TASK = "Find every call of the old function and list the files."
READER = reader_for("anthropic_messages")


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def said(content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


def result(tool_call_id: str) -> dict[str, Any]:
    return user([{"type": "tool_result", "tool_use_id": tool_call_id, "content": "out"}])


class Story:
    """ask() → answer(), in order; time goes on by a second with each."""

    def __init__(self, book: SessionBook | None = None) -> None:
        self.book = book or SessionBook(1800 * SECOND)
        self.now_ns = START
        self.count = 0
        self.opened: dict[str, OpenExchange] = {}

    def ask(self, *messages: dict[str, Any], scope: str = SCOPE, tags: list[str] | None = None, **more: Any) -> Asked:
        self.count += 1
        self.now_ns += SECOND
        headers = more.pop("headers", {})
        request_id = f"r{self.count}"
        facts = READER.read_request(json.dumps({"messages": messages, "tools": [{}], **more}).encode())
        clues = Clues(
            request_id=request_id,
            wall_ns=self.now_ns,
            session_tags=tags or [],
            headers=header_texts(join_headers([(name.encode(), value.encode()) for name, value in headers.items()])),
            hints=facts.hints,
            messages=facts.messages,
            chain=marked(facts.messages).chain,
            has_tools=facts.has_tools,
            has_output_schema=facts.has_output_schema,
        )
        identity, history = locate(clues, scope, self.book)
        session = self.book.place(scope, identity, request_id, Instant("0", 1, self.now_ns, self.now_ns))
        opened = OpenExchange(
            session.session_id,
            "anthropic_messages",
            None,
            identity.thread_id or session.conversation_id,
            identity.thread_kind,
            identity.parent_thread_id,
            history.end,
            bool(facts.messages),
            headers.get("user-agent", ""),
            identity.is_named,
            is_declared=identity.is_declared,
            retry_count=int(headers.get("x-stainless-retry-count", "0")),
        )
        self.book.exchange_opened(request_id, opened)
        self.book.touch(session, self.now_ns)
        remember_request(self.book, session, request_id, opened)
        return Asked(self, request_id, identity, opened, session.conversation_id)


class Asked:
    def __init__(
        self, story: Story, request_id: str, identity: Identity, opened: OpenExchange, conversation_id: str
    ) -> None:
        self.story = story
        self.request_id = request_id
        self.identity = identity
        self.opened = opened
        self.conversation_id = conversation_id

    @property
    def thread_id(self) -> str:
        return self.opened.thread_id

    def answer(
        self,
        *content: dict[str, Any],
        response_id: str | None = None,
        outcome: Outcome = "completed",
        is_final: bool = False,
    ) -> Asked:
        story = self.story
        story.now_ns += SECOND
        session = story.book.session(self.opened.session_id)
        assert session is not None
        message = {"role": "assistant", "content": list(content)}
        calls = [block for block in content if block["type"] == "tool_use"]
        facts = ResponseFacts(
            response_id=response_id,
            message=message,
            tool_calls=[
                ToolCall(
                    tool_call_id=call["id"],
                    tool_name=call["name"],
                    arguments=json.dumps(call["input"]),
                    input_size_bytes=1,
                )
                for call in calls
            ],
        )
        ended = EndedExchange(
            request_id=self.request_id,
            facts=facts,
            answer=READER.read_answer(message),
            outcome=outcome,
            is_answered=outcome == "completed",
            is_final=is_final,
            is_broken_off=outcome == "upstream_cut",
            ended_wall_ns=story.now_ns,
        )
        remember_response(story.book, session, self.opened, ended)
        story.book.exchange_ended(self.request_id, story.now_ns)
        return self


def call(call_id: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": "Task", "input": arguments}
