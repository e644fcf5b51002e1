"""Whether a body's history was seen before changes nothing but the time it takes to read it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from lunaroute.dialects import anthropic_messages, openai_responses
from lunaroute.dialects.anthropic_messages.message import read_message
from lunaroute.dialects.portable import is_portable_text
from lunaroute.dialects.resent import ResentReader

_PADDING = "history " * 200


class _Body(msgspec.Struct):
    model: Any = None
    metadata: Any = None
    system: msgspec.Raw = msgspec.Raw()
    messages: msgspec.Raw = msgspec.Raw()


_texts = st.sampled_from(["hi", "a \\u00e9 b", 'quote " and \\ slash', '"messages":[', "]},{", _PADDING, ""])
_blocks = st.one_of(
    st.builds(lambda text: {"type": "text", "text": text}, _texts),
    st.builds(
        lambda number, text: {"type": "tool_result", "tool_use_id": f"t{number}", "content": text},
        st.integers(0, 9),
        _texts,
    ),
)
_messages = st.builds(
    lambda role, content: {"role": role, "content": content},
    st.sampled_from(["user", "assistant"]),
    st.one_of(_texts, st.lists(_blocks, max_size=3)),
)
_odd = st.sampled_from([None, 7, "text", [], {"role": "user", "content": 2**70}, {"deep": [[[]]]}])
_others = st.dictionaries(
    st.sampled_from(["model", "metadata", "system", "x"]), st.sampled_from(["m", {"messages": [1]}, [1], 2**70])
)


@st.composite
def _conversations(draw: st.DrawFn) -> list[bytes]:
    """Bodies that go on from each other, go back, fork, and differ in fields around the list and in layout."""
    history = [{"role": "user", "content": _PADDING * 6}, *draw(st.lists(_messages, max_size=4))]
    bodies = []
    for _ in range(draw(st.integers(1, 6))):
        kept = draw(st.integers(0, len(history)))
        history = history[: max(kept, draw(st.sampled_from([0, 1])))] + draw(st.lists(_messages, max_size=3))
        odd = [draw(_odd)] if draw(st.integers(0, 9)) == 0 else []
        before, after = draw(_others), draw(_others)
        fields = {**before, "messages": history + odd, **{k: v for k, v in after.items() if k not in before}}
        separators = draw(st.sampled_from([(",", ":"), (", ", ": ")]))
        body = json.dumps(fields, separators=separators).encode()
        bodies.append(draw(st.sampled_from([body, body, body, body[:-1], b" " + body])))
    return bodies


@settings(max_examples=150, deadline=None)
@given(_conversations())
def test_history_that_was_seen_reads_like_one_that_was_not(bodies: list[bytes]) -> None:
    reader = ResentReader(msgspec.json.Decoder(_Body), "messages", read_message)
    for body in bodies:
        seen = reader.read(body)
        fresh = ResentReader(msgspec.json.Decoder(_Body), "messages", read_message).read(body)
        if seen is None or fresh is None:
            assert seen is fresh
            continue
        assert seen.messages == fresh.messages
        for field in ("model", "metadata", "system"):
            assert getattr(seen.outline, field) == getattr(fresh.outline, field)
        assert not seen.is_portable or is_portable_text(body)


def test_only_what_is_new_is_read() -> None:
    read: list[bytes] = []

    def counted(raw: msgspec.Raw) -> Any:
        read.append(bytes(raw))
        return read_message(raw)

    reader = ResentReader(msgspec.json.Decoder(_Body), "messages", counted)
    history = [{"role": "user", "content": f"{number} {_PADDING}"} for number in range(20)]
    for count in range(10, 20):
        body = json.dumps({"model": "m", "messages": history[:count]}, separators=(",", ":")).encode()
        found = reader.read(body)
        assert found is not None
        assert len(found.messages) == count
        assert found.is_portable
    # Of each body after the first: the last known message, because what follows it changed, and the new one.
    assert len(read) == 10 + 9 * 2


def test_readers_of_dialects_see_the_same_request_again() -> None:
    for reader, field in (
        (anthropic_messages.AnthropicMessagesReader(), "messages"),
        (openai_responses.OpenAIResponsesReader(), "input"),
    ):
        items = [{"role": "user", "content": _PADDING * 6}, {"role": "assistant", "content": "yes"}]
        items.append({"role": "user", "content": "and now?"})
        body = json.dumps({"model": "m", field: items, "stream": True}, separators=(",", ":")).encode()
        first, again = reader.read_request(body), reader.read_request(body)
        assert first == again
        assert again.request_text == "and now?"
        assert again.is_streaming


def test_of_two_lists_of_one_name_the_last_counts_as_for_any_reader() -> None:
    reader = ResentReader(msgspec.json.Decoder(_Body), "messages", read_message)
    history = [{"role": "user", "content": f"{number} {_PADDING}"} for number in range(8)]
    once = json.dumps({"messages": history}, separators=(",", ":"))
    found = reader.read(once.encode())
    assert found is not None
    assert len(found.messages) == 8
    # As long as the last of the first list, so that no length gives it away.
    other = json.dumps({"role": "user", "content": f"x {_PADDING}"}, separators=(",", ":"))
    for name in ("messages", "mess\\u0061ges"):
        twice = reader.read(f'{once[:-1]},"{name}":[{other}]}}'.encode())
        assert twice is not None
        assert [message.texts for message in twice.messages] == [[f"x {_PADDING}"]]
    again = reader.read(once.encode())  # nothing was kept that should not be
    assert again is not None
    assert again.messages == found.messages
