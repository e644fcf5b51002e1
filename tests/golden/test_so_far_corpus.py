"""What a live view reads from recorded streams, event by event, is what they amount to at their end."""

from __future__ import annotations

import pytest

from lunaroute.dialects.loose import join_text
from lunaroute.dialects.reading import StreamedBody, framing_of
from lunaroute.dialects.so_far import SoFar
from tests.recorded_streams import FORMAT_OF, TYPE_OF, streams

_STREAMS = 12
_READS = 60


def _text(so_far: SoFar, kind: str) -> str:
    return join_text(["".join(part.pieces) for part in so_far.parts if part.kind == kind])


def _bare(text: str) -> str:
    """Blocks are joined with line feeds in one place and shown apart in the other."""
    return "".join(text.split())


@pytest.mark.parametrize("kind", FORMAT_OF)
def test_parts_only_grow_and_end_as_the_message(kind: str) -> None:
    recorded = streams(kind)
    wire_format = FORMAT_OF[kind]
    for stream in recorded[:: max(1, len(recorded) // _STREAMS)]:
        framing = framing_of(wire_format, [(0, stream)], TYPE_OF[kind])
        body = StreamedBody(wire_format, framing)
        seen: dict[str, str] = {}
        size = max(1, len(stream) // _READS)
        for start in range(0, len(stream), size):
            body.feed(start, stream[start : start + size])
            now = {part.key: "".join(part.pieces) for part in body.so_far().parts}
            assert all(now[key].startswith(text) for key, text in seen.items())
            seen = now
        so_far = body.so_far()
        facts = body.finish()
        assert _bare(_text(so_far, "text")) == _bare(facts.text)
        assert _bare(_text(so_far, "thinking")) == _bare(facts.thinking_text)
        names = [part.name for part in so_far.parts if part.kind == "tool_call"]
        assert set(names) >= {call.tool_name for call in facts.tool_calls}
        assert so_far.model == facts.model
