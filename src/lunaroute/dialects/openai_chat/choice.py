"""One choice of a streamed chat completion, as it grows.

In: deltas. Out: the choice as a plain call would have returned it. Invariant: no delta raises, none is lost: what
has no rule of its own is merged (texts grow, lists get longer, the rest is replaced).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lunaroute.dialects.loose import as_dict, as_list, as_text, encode, join_text
from lunaroute.dialects.openai_chat.response import THINKING_FIELDS
from lunaroute.dialects.so_far import Part
from lunaroute.dialects.stream_notes import Milestones

_READ_ELSEWHERE = frozenset({"index", "delta", "message", "finish_reason", "usage", "text"})


class _StreamedCall:
    """A tool call as it grows."""

    def __init__(self, index: Any) -> None:
        self.index = index
        self.call_id: str | None = None
        self.kind = "function"
        self.name = ""
        self.pieces: list[str] = []
        self.extra: dict[str, Any] = {}
        self.ended_ns: int | None = None

    def rebuilt(self) -> dict[str, Any]:
        field = "input" if self.kind == "custom" else "arguments"
        body = {"name": self.name, field: join_text(self.pieces)}
        return {"id": self.call_id, "type": self.kind, self.kind: body} | self.extra


class StreamedChoice:
    """add(delta)* → rebuilt()."""

    def __init__(self, index: int, milestones: Milestones) -> None:
        self.finish_reason: str | None = None
        self._index = index
        self._milestones = milestones
        self._texts: dict[str, list[str]] = {}
        self._content_parts: list[Any] = []
        self._calls: list[_StreamedCall] = []
        self._legacy_call: _StreamedCall | None = None
        self._message: dict[str, Any] = {}
        self._fields: dict[str, Any] = {}
        self._open: tuple[str, _StreamedCall | None] | None = None

    def add(self, delta: dict[str, Any], t_ns: int) -> str | None:
        """Take the next delta, which arrived at `t_ns`. The name of its text, where that is all it holds."""
        text_key, is_only_text = None, True
        for key, value in delta.items():
            if value is None:
                continue
            if type(value) is str and key in _KIND_OF_TEXT:
                self._add_text(key, value, t_ns)
                if value:
                    is_only_text = is_only_text and text_key is None
                    text_key = key
                continue
            is_only_text = is_only_text and key == "role"
            if key == "role":
                self._message["role"] = value
            elif key == "content":
                self._add_content_parts(as_list(value), t_ns)
            elif key == "tool_calls":
                for entry in as_list(value):
                    self._add_call(as_dict(entry), t_ns)
            elif key == "function_call":
                self._add_legacy_call(as_dict(value), t_ns)
            else:
                _merge(self._message, key, value)
        return text_key if is_only_text else None

    def growing(self, text_key: str) -> list[str]:
        """Where the pieces of a text go, for deltas that continue it."""
        return self._texts[text_key]

    def add_fields(self, choice: dict[str, Any]) -> bool:
        """Keep what stands beside the delta: logprobs, content filter results … False where nothing does."""
        has_any = False
        for key, value in choice.items():
            if key not in _READ_ELSEWHERE and value is not None:
                _merge(self._fields, key, value, is_text_replaced=True)
                has_any = True
        return has_any

    def end_block(self, t_ns: int) -> None:
        """The run of deltas that is open, if any, is over."""
        if self._open is None:
            return
        kind, call = self._open
        if call is not None:
            call.ended_ns = t_ns
        self._open = None
        self._milestones.block_stop(kind, t_ns)

    def tool_call_times_ns(self) -> list[int | None]:
        """When each tool call's end arrived, in the order of `rebuilt`."""
        times = [call.ended_ns for call in self._calls]
        if self._legacy_call is not None and self._legacy_call.name:
            times.append(self._legacy_call.ended_ns)
        return times

    def parts(self) -> Iterator[Part]:
        """Its texts and calls so far."""
        for key, pieces in self._texts.items():
            is_thinking = _KIND_OF_TEXT[key] == "reasoning"
            yield Part(f"{self._index}.{key}", "thinking" if is_thinking else "text", None, pieces)
        calls = self._calls if self._legacy_call is None else [*self._calls, self._legacy_call]
        for number, call in enumerate(calls):
            yield Part(f"{self._index}.call.{number}", "tool_call", call.name or None, call.pieces)

    def rebuilt(self) -> dict[str, Any]:
        texts = {key: join_text(pieces) for key, pieces in self._texts.items()}
        content: Any = texts.pop("content", None)
        if self._content_parts:
            content = self._content_parts + ([{"type": "text", "text": content}] if content else [])
        elif not content and (self._calls or self._legacy_call or texts.get("refusal")):
            content = None
        message = {"role": "assistant", "content": content} | self._message
        message |= {key: text for key, text in texts.items() if text}
        if self._calls:
            message["tool_calls"] = [call.rebuilt() for call in self._calls]
        if self._legacy_call is not None:
            message["function_call"] = self._legacy_call.rebuilt()["function"]
        return {"index": self._index, "message": message, "finish_reason": self.finish_reason} | self._fields

    def _add_text(self, key: str, text: str, t_ns: int) -> None:
        pieces = self._texts.get(key)
        if pieces is None:
            pieces = self._texts[key] = []
        if text:
            pieces.append(text)
            self._begin(_KIND_OF_TEXT[key], None, t_ns)
            self._milestones.token(t_ns)

    def _add_content_parts(self, parts: list[Any], t_ns: int) -> None:
        for part in parts:
            kind = as_text(as_dict(part).get("type")) or ""
            self._begin("reasoning" if kind == "thinking" else kind, None, t_ns)
            self._milestones.token(t_ns)
            last = self._content_parts[-1] if self._content_parts else None
            if isinstance(last, dict) and last.get("type") == kind and kind:
                _merge_part(last, part)
            else:
                self._content_parts.append(part)

    def _add_call(self, entry: dict[str, Any], t_ns: int) -> None:
        call = self._call_for(entry)
        self._begin("tool_call", call, t_ns)
        if not call.call_id:
            call.call_id = as_text(entry.get("id")) or None
        for key, value in entry.items():
            if key in ("function", "custom"):
                call.kind = key
                self._add_arguments(call, as_dict(value), t_ns)
            elif key not in ("index", "id", "type") and value is not None:
                _merge(call.extra, key, value)

    def _call_for(self, entry: dict[str, Any]) -> _StreamedCall:
        """The call that an entry continues, or a new one.

        An entry names its call by `index`; Mistral sends none, and some providers give every call index 0, so that
        an id that was not seen before opens a new call too."""
        index, call_id = entry.get("index"), entry.get("id")
        for call in reversed(self._calls):
            if call_id and call.call_id and call_id != call.call_id:
                continue
            if call.index == index or (call_id and call.call_id == call_id):
                return call
        call = _StreamedCall(index)
        self._calls.append(call)
        return call

    def _add_legacy_call(self, fields: dict[str, Any], t_ns: int) -> None:
        if self._legacy_call is None:
            self._legacy_call = _StreamedCall(None)
        if fields.get("name") or fields.get("arguments"):
            self._begin("function_call", self._legacy_call, t_ns)
        self._add_arguments(self._legacy_call, fields, t_ns)

    def _add_arguments(self, call: _StreamedCall, fields: dict[str, Any], t_ns: int) -> None:
        # Some providers repeat the name on every chunk; none splits it.
        call.name = call.name or as_text(fields.get("name")) or ""
        piece = fields.get("input" if call.kind == "custom" else "arguments")
        if piece is not None and not isinstance(piece, str):
            piece = encode(piece).decode()
        if piece:
            call.pieces.append(piece)
            self._milestones.token(t_ns)

    def _begin(self, kind: str, call: _StreamedCall | None, t_ns: int) -> None:
        if self._open is not None:
            if self._open[0] == kind and self._open[1] is call:
                return
            self.end_block(t_ns)
        self._open = (kind, call)
        self._milestones.block_start(kind, t_ns)


_KIND_OF_TEXT = {"content": "text", "refusal": "refusal"} | dict.fromkeys(THINKING_FIELDS, "reasoning")


_REPLACED = frozenset({"id", "type", "name", "role", "format", "channel", "index"})
"""Texts that are repeated on every chunk where they are sent at all."""


def _merge(into: dict[str, Any], key: str, value: Any, is_text_replaced: bool = False) -> None:
    known = into.get(key)
    if isinstance(known, list) and isinstance(value, list):
        known.extend(value)
    elif isinstance(known, dict) and isinstance(value, dict):
        for inner, inner_value in value.items():
            if inner_value is not None:
                _merge(known, inner, inner_value, is_text_replaced)
    elif isinstance(known, str) and isinstance(value, str) and not is_text_replaced and key not in _REPLACED:
        into[key] = known + value
    else:
        into[key] = value


def _merge_part(into: dict[str, Any], part: dict[str, Any]) -> None:
    for key, value in part.items():
        if key != "type" and value is not None:
            _merge(into, key, value)
