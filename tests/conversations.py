"""Agents whose requests fail, are repeated, cut and resumed, and that come back after their sessions have ended; and
what their provider said, which is what must have been counted in the end.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from hypothesis import strategies as st

from lunaroute.assemble.exchange import Assembled, RunEnded
from lunaroute.capture.records import Outcome
from tests.exchanges import EVENT_STREAM, MS, START_WALL_NS, ExchangeScript
from tests.traffic import MODEL, session_header

STEP_MS = 400
PAUSE_MS = 2_000_000
"""Longer than a session waits for more."""


class Turn(NamedTuple):
    """One request of a story."""

    conversation: int
    kind: str
    """How it goes: `ok`, `failed`, `cut`, or `repeated` by the client although it was answered."""
    call_count: int
    """Tools that the answer asks for."""
    is_after_pause: bool = False


@st.composite
def stories(draw: st.DrawFn, *, has_pauses: bool = False) -> list[Turn]:
    """Turns of three conversations, in order."""
    turn = st.builds(
        Turn,
        st.integers(0, 2),
        st.sampled_from(["ok", "ok", "ok", "failed", "cut", "repeated"]),
        st.integers(0, 2),
        st.booleans() if has_pauses else st.just(False),
    )
    return draw(st.lists(turn, min_size=1, max_size=10))


class Conversation:
    """An agent: it repeats what failed, resumes what was cut, and answers every tool call."""

    def __init__(self, name: str, has_id: bool) -> None:
        self.name = name
        self.has_id = has_id
        self.messages: list[dict[str, Any]] = [{"role": "user", "content": f"the task of {name}"}]
        self.served: set[str] = set()
        self.answered: set[str] = set()
        self.said: list[dict[str, int]] = []
        """The usage that the provider reported of each request, as far as it did."""
        self.requests = 0

    def exchange(self, number: int, turn: Turn, at_ms: int) -> ExchangeScript:
        self.requests += 1
        self._note_answers()
        headers = session_header(self.name) if self.has_id else []
        if turn.kind == "repeated":
            headers = [*headers, (b"x-stainless-retry-count", b"1")]
        body = {"model": MODEL, "tools": [{"name": "ls"}], "messages": self.messages, "stream": turn.kind == "cut"}
        script = ExchangeScript(
            number, body=json.dumps(body).encode(), headers=headers, opened_ms=at_ms, sent_ms=at_ms + 10
        )
        calls = [f"toolu_{number}_{index}" for index in range(turn.call_count)]
        self._answer(script, turn.kind, calls, at_ms)
        return script

    def _answer(self, script: ExchangeScript, kind: str, calls: list[str], at_ms: int) -> None:
        number = script.exchange.opened.exchange
        text = f"answer {number} to {self.name}"
        content: list[dict[str, Any]] = [{"type": "text", "text": text}]
        content += [{"type": "tool_use", "id": one, "name": "ls", "input": {"n": 1}} for one in calls]
        outcome: Outcome = "completed"
        if kind == "failed":
            script.answer(529, at_ms=at_ms + 100)
            script.chunk(b'{"type":"error","error":{"type":"overloaded_error","message":"x"}}', at_ms=at_ms + 110)
        elif kind == "cut":
            outcome = "upstream_cut"
            script.answer(200, at_ms=at_ms + 100, headers=EVENT_STREAM)
            usage = {"input_tokens": 7}
            start = {"id": f"msg_{at_ms}", "role": "assistant", "model": MODEL, "content": [], "usage": usage}
            block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": text}}
            for event in ({"type": "message_start", "message": start}, block):
                data = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
                script.chunk(data, at_ms=at_ms + 110)
            self.said.append(usage)
            self._go_on(text, "on")
        else:
            self.served.update(calls)
            usage = {
                "input_tokens": 10 * len(self.messages),
                "output_tokens": 3 + number,
                "cache_read_input_tokens": 5 + 2 * number,
                "cache_creation_input_tokens": number,
            }
            response = {"id": f"msg_{at_ms}", "role": "assistant", "model": MODEL, "content": content, "usage": usage}
            script.answer(200, at_ms=at_ms + 100)
            script.chunk(json.dumps(response).encode(), at_ms=at_ms + 110)
            self.said.append(usage)
            results = [{"type": "tool_result", "tool_use_id": one, "content": "out"} for one in calls]
            self._go_on(content, results or f"go on, {self.name}")
        script.close(at_ms=at_ms + 200, outcome=outcome)

    def _go_on(self, answer: Any, say: Any) -> None:
        self.messages = [*self.messages, {"role": "assistant", "content": answer}, {"role": "user", "content": say}]

    def _note_answers(self) -> None:
        for message in self.messages:
            if isinstance(message["content"], list):
                self.answered.update(block["tool_use_id"] for block in message["content"] if "tool_use_id" in block)


class Told(NamedTuple):
    conversations: list[Conversation]
    owner: dict[str, int]
    """request id → which conversation it is of."""
    items: list[Assembled]
    """What the assembler gives out."""

    @property
    def said(self) -> list[dict[str, int]]:
        """All that the provider reported."""
        return [usage for one in self.conversations for usage in one.said]


def told(story: list[Turn], has_ids: bool) -> Told:
    conversations = [Conversation(f"run-{index}", has_ids) for index in range(3)]
    owner: dict[str, int] = {}
    items: list[Assembled] = []
    at_ms = 0
    for number, turn in enumerate(story):
        at_ms += PAUSE_MS if turn.is_after_pause else STEP_MS
        script = conversations[turn.conversation].exchange(number, turn, at_ms)
        owner[script.exchange.request_id] = turn.conversation
        items += [script.received, script.ended]
    return Told(conversations, owner, [*items, RunEnded(START_WALL_NS + (at_ms + PAUSE_MS) * MS)])
