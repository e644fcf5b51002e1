"""Output items of a Responses stream, as far as they arrived.

In: items as they begin and end, and their deltas undecoded. Out: the list a response object has as `output`.
Invariant: an item that got done is exactly what the provider sent; one that did not holds what its deltas said.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lunaroute.dialects.loose import as_dict, as_int, as_list, as_text, join_text, read_piece
from lunaroute.dialects.so_far import Part

_FIELD_OF_DELTA = {
    "response.function_call_arguments.delta": "arguments",
    "response.mcp_call_arguments.delta": "arguments",
    "response.custom_tool_call_input.delta": "input",
    "response.code_interpreter_call_code.delta": "code",
}
"""Deltas of one text field of their item."""

_PART_OF_DELTA = {
    "response.output_text.delta": ("content", "content_index", "output_text", "text"),
    "response.refusal.delta": ("content", "content_index", "refusal", "refusal"),
    "response.reasoning_text.delta": ("content", "content_index", "reasoning_text", "text"),
    "response.reasoning_summary_text.delta": ("summary", "summary_index", "summary_text", "text"),
}
"""Deltas of a part of their item: (list in the item, its index in the event, type of the part, its text field)."""

_IMPLIED_ITEM = {"output_text": "message", "refusal": "message"}


class PartialItems:
    def __init__(self) -> None:
        self._begun: dict[int, dict[str, Any]] = {}
        self._done: dict[int, dict[str, Any]] = {}
        self._deltas: list[tuple[str, bytes]] = []
        self._shown = 0
        """Deltas that `parts` has decoded."""
        self._texts: dict[tuple[int, str, int | str], list[str]] = {}

    @property
    def is_empty(self) -> bool:
        return not (self._begun or self._done or self._deltas)

    def add(self, index: int | None, item: dict[str, Any]) -> None:
        """An item began."""
        self._begun[self._next_index() if index is None else index] = item

    def done(self, index: int | None, item: dict[str, Any]) -> None:
        """An item is complete."""
        if index is None:
            # Without an index, what was begun last is what ends.
            open_indexes = [begun for begun in self._begun if begun not in self._done]
            index = open_indexes[-1] if open_indexes else self._next_index()
        self._done[index] = item

    def keep_delta(self, kind: str, data: bytes) -> None:
        """A delta arrived; it is decoded only if its item never gets done."""
        self._deltas.append((kind, data))

    def parts(self) -> Iterator[Part]:
        """The texts so far. Only who asks for them pays for decoding the deltas as they come."""
        for kind, data in self._deltas[self._shown :]:
            _collect(kind, as_dict(read_piece(data)), self._texts)
        self._shown = len(self._deltas)
        for (index, kind, part_index), pieces in self._texts.items():
            item = self._begun.get(index) or self._done.get(index) or {}
            if kind in _FIELD_OF_DELTA:
                yield Part(f"{index}.call", "tool_call", as_text(item.get("name")) or as_text(item.get("type")), pieces)
            else:
                is_thinking = kind.startswith("response.reasoning")
                yield Part(f"{index}.{kind}.{part_index}", "thinking" if is_thinking else "text", None, pieces)
        yield from self._silent_calls({index for index, kind, _ in self._texts if kind in _FIELD_OF_DELTA})

    def _silent_calls(self, told: set[int]) -> Iterator[Part]:
        """Calls that no delta has told of, not yet or never."""
        for index, item in (self._begun | self._done).items():
            if index not in told and (name := as_text(item.get("name"))):
                arguments = as_text(self._done.get(index, {}).get("arguments" if "arguments" in item else "input"))
                yield Part(f"{index}.call", "tool_call", name, (arguments,) if arguments else ())

    def rebuilt(self) -> list[dict[str, Any]]:
        """The items in order. Call once."""
        pieces: dict[tuple[int, str, int | str], list[str]] = {}
        for kind, data in self._deltas:
            _collect(kind, as_dict(read_piece(data)), pieces)
        for place, texts in pieces.items():
            if place[0] not in self._done:
                self._put(place, join_text(texts))
        whole = self._begun | self._done
        return [whole[index] for index in sorted(whole)]

    def _next_index(self) -> int:
        return max([-1, *self._begun, *self._done]) + 1

    def _put(self, place: tuple[int, str, int | str], text: str) -> None:
        index, kind, part_index = place
        if kind in _FIELD_OF_DELTA:
            field = _FIELD_OF_DELTA[kind]
            item = self._begun.setdefault(index, {"type": "function_call"})
            item[field] = (as_text(item.get(field)) or "") + text
            return
        list_field, _, part_type, text_field = _PART_OF_DELTA[kind]
        item = self._begun.setdefault(index, {"type": _IMPLIED_ITEM.get(part_type, "reasoning")})
        parts = as_list(item.get(list_field))
        item[list_field] = parts
        # Parts come in order, so one that is missing below this index never had any text.
        if isinstance(part_index, int) and 0 <= part_index < len(parts) and isinstance(parts[part_index], dict):
            part = parts[part_index]
            part[text_field] = (as_text(part.get(text_field)) or "") + text
        else:
            parts.append({"type": part_type, text_field: text})


def _collect(kind: str, fields: dict[str, Any], pieces: dict[tuple[int, str, int | str], list[str]]) -> None:
    index, delta = as_int(fields.get("output_index")), fields.get("delta")
    if index is None or not isinstance(delta, str):
        return
    if kind in _FIELD_OF_DELTA:
        pieces.setdefault((index, kind, ""), []).append(delta)
    elif kind in _PART_OF_DELTA:
        part_index = as_int(fields.get(_PART_OF_DELTA[kind][1])) or 0
        pieces.setdefault((index, kind, part_index), []).append(delta)
