"""A body as event fields."""

from __future__ import annotations

import msgspec

from .types import BodyCopy


class EmbeddedBody(msgspec.Struct, frozen=True, gc=False):
    """A body as event fields."""

    json: msgspec.Raw
    copy: BodyCopy | None
    sha256: str
