"""[pure] What a request adds to its thread."""

from __future__ import annotations

import msgspec

from lunaroute.sessions.prompts import Answered, Change, Prompt


class Addition(msgspec.Struct, frozen=True, gc=False):
    """A request against what was sent in its thread before."""

    prompt: Prompt
    change: Change
    """Against the request before."""
    answered_change: Change
    """Against the newest one that the provider answered."""
    answered: Answered | None
    is_first: bool
    """Nothing was asked in the thread before."""
