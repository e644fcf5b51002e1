"""A thread: one linear history inside a session, its newest request and how that ended."""

from __future__ import annotations

import msgspec

from lunaroute.capture.records import Outcome

from .clues import ThreadKind
from .history import EMPTY
from .prompts import Answered, Prompt


class Thread(msgspec.Struct, array_like=True):
    """One linear history inside a session."""

    thread_id: str
    kind: ThreadKind
    parent_thread_id: str | None
    order: int
    open_exchanges: int = 0
    request_id: str | None = None
    """Of the newest request."""
    chain: bytes = EMPTY
    """History of the newest request."""
    head: bytes = EMPTY
    """The same with the answer to it, as soon as there is one."""
    outcome: Outcome | None = None
    """How the newest request ended; None while it is open."""
    is_answered: bool = False
    prompt: Prompt | None = None
    """Of the newest request."""
    answered_prompt: Prompt | None = None
    """The newest that the provider said its use of."""
    answered: Answered | None = None
    """What it said."""

    def asked(self, request_id: str, chain: bytes, prompt: Prompt | None) -> None:
        """A request of this thread arrived."""
        self.open_exchanges += 1
        self.prompt = prompt
        self.request_id, self.chain, self.head = request_id, chain, chain
        self.outcome, self.is_answered = None, False

    def ended(self, request_id: str, outcome: Outcome, is_answered: bool, head: bytes) -> None:
        """A request of this thread is over; `head` is its history with the answer."""
        self.open_exchanges = max(0, self.open_exchanges - 1)
        if request_id == self.request_id:
            self.outcome, self.is_answered, self.head = outcome, is_answered, head

    def was_told(self, prompt: Prompt | None, answered: Answered) -> None:
        """The provider said what this prompt used."""
        self.answered_prompt, self.answered = prompt, answered
