"""An exchange that is over."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from lunaroute.capture.records import Outcome
from lunaroute.dialects.facts import MessageFacts, ResponseFacts

from .prompts import Answered


class EndedExchange(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A response as it was understood."""

    request_id: str
    facts: ResponseFacts
    answer: Sequence[MessageFacts]
    """The answer as a later request will repeat it."""
    outcome: Outcome
    is_answered: bool
    is_final: bool
    """The provider told the client not to try again."""
    is_broken_off: bool
    """The connection broke in the middle of the answer."""
    ended_wall_ns: int
    answered: Answered | None = None
    """What the provider said of the prompt; None = nothing."""
