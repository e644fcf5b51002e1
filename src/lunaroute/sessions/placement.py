"""Where a request belongs: what it says of itself and what was recorded before in, conversation and thread out.

WIRE A4: first what the request declares (`identity`, steps 1-3), then ids that a provider served, in order of how
surely they tell (steps 4-5), then the history itself (step 6). What nothing knows begins a thread of its own: a
sub-agent's where its task is what a tool call said (step 7), else a conversation.

Deterministic: it depends on the records so far and on their times alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import msgspec

from lunaroute.dialects.turn import opening_texts

from .client import counts_retries, identify_client, is_coding_agent, retry_count_of
from .clues import Clues, Declared, Identity, ThreadKind
from .history import EMPTY, History, history_of
from .identity import declare
from .lifecycle import SessionBook
from .places import Found, LinkKind, Place, SentRequest
from .served import sender_of
from .thread import Thread

_SECOND_NS = 1_000_000_000
_REPEAT_NS = 60 * _SECOND_NS
"""How long after a failure the same request again is taken for a retry; later it is a new run."""
_SAID_REPEAT_NS = 600 * _SECOND_NS
"""The same where the client says that it is a retry."""
_MOST_TOOL_RESULTS = 16
"""A request re-sends hundreds; if the newest are unknown, so is the conversation."""
_MIN_ARGUMENT_CHARS = 12
"""Shorter texts are equal by chance."""


def locate(clues: Clues, scope: str, book: SessionBook) -> tuple[Identity, History]:
    """Whose request it is, and its history as a chain."""
    held = _linked(clues.hints.previous_response_id, "response", scope, book)
    history = history_of(clues.messages, clues.chain, EMPTY if held is None else held.chain)
    search = _Search(clues, scope, book, history, held)
    declared = declare(clues)
    identity = search.undeclared() if declared is None else search.declared(declared)
    retry_of = search.retry_of(identity)
    return identity if retry_of is None else msgspec.structs.replace(identity, retry_of=retry_of), history


class _Search:
    """One request and what is remembered."""

    def __init__(self, clues: Clues, scope: str, book: SessionBook, history: History, held: Place | None) -> None:
        self._clues = clues
        self._scope = scope
        self._book = book
        self._history = history
        self._held = held
        self._is_side_call = _is_side_call(clues)
        self._retry_count = retry_count_of(clues.headers)

    # ---- the request does not say

    def undeclared(self) -> Identity:
        found = self._found()
        if found is not None:
            return _inside(found.place, found.rule, found.evidence)
        task = self._task()
        if task is not None:
            text, parent = task
            return Identity(
                conversation_id=parent.conversation_id,
                rule="tool_argument",
                evidence=f"tool_argument={text[:80]}",
                thread_id=self._clues.request_id,
                parent_thread_id=parent.thread_id,
                thread_kind="subagent",
            )
        kind: ThreadKind = "side" if self._is_side_call else "main"
        return Identity(conversation_id=None, rule="new", evidence=None, thread_kind=kind)

    # ---- the request says

    def declared(self, declared: Declared) -> Identity:
        conversation_id = self._root(declared)
        is_known = self._book.is_known(self._scope, conversation_id)
        is_sought = declared.thread_id is None or self._is_side_call or not is_known
        found = self._found(conversation_id) if is_sought else None
        inside = None if found is None or found.place.conversation_id != conversation_id else found.place
        place = self._thread_of(declared, conversation_id, inside)
        is_named = declared.thread_id is not None and place.thread_id == declared.thread_id
        identity = msgspec.structs.replace(
            _inside(place, declared.rule, declared.evidence), is_named=is_named, is_declared=True
        )
        if found is not None and inside is None and not is_known and found.rule != "repetition":
            return msgspec.structs.replace(identity, forked_from=found.place.conversation_id)
        return identity

    def _root(self, declared: Declared) -> str:
        """The conversation; a sub-agent's sub-agent knows only the one above it."""
        above = self._book.served.linked(self._scope, "thread", declared.conversation_id)
        return declared.conversation_id if above is None else above.conversation_id

    def _thread_of(self, declared: Declared, conversation_id: str, inside: Place | None) -> Place:
        main = declared.thread_id or conversation_id
        if self._is_side_call:
            return inside or self._new_thread(conversation_id, "side", main)
        if declared.thread_id is not None:
            return Place(conversation_id, main, declared.thread_kind, declared.parent_thread_id)
        if inside is not None:
            return inside
        task = self._task()
        if task is not None and task[1].conversation_id == conversation_id:
            return self._new_thread(conversation_id, "subagent", task[1].thread_id)
        thread = self._book.thread(self._scope, conversation_id, conversation_id)
        if thread is not None and declared.is_shared:
            return self._new_thread(conversation_id, "main", None)
        if thread is not None and thread.open_exchanges > 0:
            # One history has one request at a time, so this is another one.
            return self._new_thread(conversation_id, "subagent" if self._clues.has_tools else "side", main)
        return Place(conversation_id, conversation_id)

    def _new_thread(self, conversation_id: str, kind: ThreadKind, parent_thread_id: str | None) -> Place:
        return Place(conversation_id, self._clues.request_id, kind, parent_thread_id)

    # ---- what was recorded before

    def _found(self, conversation_id: str | None = None) -> Found | None:
        """`conversation_id` is what the request says."""
        return self._by_ids() or self._by_answer() or self._by_repetition(conversation_id)

    def _by_ids(self) -> Found | None:
        hints = self._clues.hints
        if self._held is not None:
            return Found(self._held, "response_id", f"previous_response_id={hints.previous_response_id}")
        place = _linked(hints.diagnostic_message_id, "response", self._scope, self._book)
        if place is not None:
            return Found(place, "response_id", f"diagnostics.previous_message_id={hints.diagnostic_message_id}")
        for tool_call_id in islice(self._tool_call_ids(), _MOST_TOOL_RESULTS):
            place = _linked(tool_call_id, "tool", self._scope, self._book)
            if place is not None:
                return Found(place, "tool_call_id", f"tool_call_id={tool_call_id}")
        return None

    def _tool_call_ids(self) -> Iterator[str]:
        """Newest first."""
        for message in reversed(self._clues.messages):
            for result in reversed(message.tool_results):
                if result.tool_call_id:
                    yield result.tool_call_id

    def _by_answer(self) -> Found | None:
        """The longest part of the history that is a recorded request and our recorded answer to it. An answer has
        its own words, so this is one conversation's; where several said the very same, it is more likely the one
        that waits there, and the newest of those."""
        for value in reversed(self._history.values):
            places = self._book.served.answered_at(self._scope, value)
            if places:
                waiting = [place for place in places if self._waits_at(place, value)]
                return Found((waiting or places)[-1], "prefix", f"history={value.hex()}")
        return None

    def _waits_at(self, place: Place, chain: bytes) -> bool:
        thread = self._book.thread(self._scope, place.conversation_id, place.thread_id)
        return thread is not None and thread.head == chain and thread.outcome is not None

    def _by_repetition(self, conversation_id: str | None) -> Found | None:
        """The same request as one that failed a moment ago, or a longer one that goes on from it. One that was
        answered is another run's, unless the client says that it retries; so is one that the client says is none."""
        headers = self._clues.headers
        if counts_retries(headers) and self._retry_count == 0:
            return None
        sender = sender_of(headers.get("user-agent") or "", conversation_id)
        for value in reversed(self._history.values):
            alike = self._book.served.sent(self._scope, sender, value)
            may_be = [sent for sent in alike if self._may_repeat(sent, value) and self._is_newest(sent)]
            if may_be:
                sent = max(reversed(may_be), key=self._likelihood)
                return Found(sent.place, "repetition", f"request_id={sent.request_id}")
        return None

    def _may_repeat(self, sent: SentRequest, chain: bytes) -> bool:
        age_ns = self._clues.wall_ns - sent.ended_wall_ns
        is_again = self._retry_count > 0 and chain == self._history.end and age_ns <= _SAID_REPEAT_NS
        return is_again or (sent.is_repeatable and age_ns <= _REPEAT_NS)

    def _likelihood(self, sent: SentRequest) -> tuple[bool, bool]:
        """Of runs that began alike, it is one that failed, and that was tried as often as this request says; of
        those, the newest."""
        return sent.is_repeatable, sent.retry_count + 1 == self._retry_count

    def _is_newest(self, sent: SentRequest) -> bool:
        """Its thread has not gone on since."""
        thread = self._book.thread(self._scope, sent.place.conversation_id, sent.place.thread_id)
        return thread is not None and thread.request_id == sent.request_id

    def _task(self) -> tuple[str, Place] | None:
        """The conversation's first words, where a tool call said them: (the words, who was served that call)."""
        for text in opening_texts(self._clues.messages):
            if len(text) >= _MIN_ARGUMENT_CHARS:
                place = self._book.served.argued(self._scope, text)
                if place is not None:
                    return text, place
        return None

    # ---- repetitions

    def retry_of(self, identity: Identity) -> str | None:
        """The thread's newest request, where this is the same again or resumes what was cut."""
        thread = self._thread(identity)
        if thread is None or thread.request_id is None or thread.outcome is None or not self._history.values:
            return None
        if thread.chain == self._history.end:
            return thread.request_id if not thread.is_answered or self._retry_count > 0 else None
        is_cut = thread.outcome in ("upstream_cut", "stream_error")
        return thread.request_id if is_cut and thread.chain in self._history.values else None

    def _thread(self, identity: Identity) -> Thread | None:
        if identity.conversation_id is None:
            return None
        thread_id = identity.thread_id or identity.conversation_id
        return self._book.thread(self._scope, identity.conversation_id, thread_id)


def _is_side_call(clues: Clues) -> bool:
    """No tools and no history, and either it asks for data in a given form or its client never works without tools: a
    title, a summary, a guess at what comes next."""
    if clues.has_tools or not clues.messages or any(one.role == "assistant" for one in clues.messages):
        return False
    return clues.has_output_schema or is_coding_agent(identify_client(clues.headers).name)


def _linked(link_id: str | None, kind: LinkKind, scope: str, book: SessionBook) -> Place | None:
    return book.served.linked(scope, kind, link_id) if link_id else None


def _inside(place: Place, rule: str, evidence: str) -> Identity:
    return Identity(
        conversation_id=place.conversation_id,
        rule=rule,
        evidence=evidence,
        thread_id=place.thread_id,
        parent_thread_id=place.parent_thread_id,
        thread_kind=place.kind,
    )
