"""Codex's rollouts (`~/.codex/sessions/YYYY/MM/DD/rollout-<time>-<id>.jsonl`).

In: the lines of one file. Out: its turns. A line is `{timestamp, type, payload}`; oldest files have the payload alone.
`response_item` lines are what was sent to and came from the Responses API. An answer is a row of items of the model
between items of others, up to its `token_usage_record`, which has the provider's id and usage. Older versions have
neither; there `token_count` events tell the usage of an answer, and repeat it (the same totals) with rate limits. They
come after the items of their answer; in files of the oldest versions, whose first one comes before all items, before.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lunaroute.dialects.loose import as_dict, as_int, as_text, read_any

from .turn import Reading, Turn, wall_ns

CLIENT = "codex"
_OURSELVES = "lunaroute"
"""The provider that our set-up adds to Codex's settings; behind it is OpenAI."""
_CALLS = {"function_call", "custom_tool_call", "local_shell_call", "tool_search_call"}
_OF_THE_MODEL = _CALLS | {"reasoning", "web_search_call", "image_generation_call", "agent_message"}


def read_codex(lines: Iterable[bytes]) -> Reading:
    """What the lines tell. Never raises: what is no JSON object is named, lines of other kinds are passed over."""
    reading = Reading()
    reader = _Reader(reading)
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        row = read_any(line)
        if isinstance(row, dict):
            reader.add(row)
        else:
            reading.bad_lines.append(number)
    return reading


class _Reader:
    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._version: str | None = None
        self._provider = "openai"
        self._model: str | None = None
        self._thread_id: str | None = None
        self._parent_id: str | None = None
        self._project: str | None = None
        self._now_ns = 0
        self._said_ns: int | None = None
        self._waiting: list[dict[str, Any]] = []
        self._returned_ns: dict[str, int] = {}
        self._open: Turn | None = None
        self._totals: Any = None
        self._has_records = False
        self._counts_come_first: bool | None = None
        """Of `token_count` events, against the items of their answers; None = there was none yet."""
        self._next_usage: dict[str, Any] | None = None
        """Usage that came before the items of its answer."""

    def add(self, row: dict[str, Any]) -> None:
        self._now_ns = wall_ns(row.get("timestamp")) or self._now_ns
        payload = row.get("payload")
        if not isinstance(payload, dict):
            if "id" in row and "timestamp" in row and "type" not in row:
                self._take_meta(row)
            else:
                self._take_item(row)
            return
        match row.get("type"):
            case "session_meta":
                self._take_meta(payload)
            case "turn_context":
                self._model = as_text(payload.get("model")) or self._model
                self._project = as_text(payload.get("cwd")) or self._project
            case "response_item":
                self._take_item(payload)
            case "token_usage_record":
                self._take_record(payload)
            case "event_msg" if payload.get("type") == "token_count" and not self._has_records:
                self._take_counts(as_dict(payload.get("info")))
            case "compacted":
                self._open, self._next_usage = None, None
            case _:
                pass

    def _take_meta(self, meta: dict[str, Any]) -> None:
        """The first one is the file's own; a fork repeats those of the history that it begins with."""
        if self._reading.conversation_id is not None:
            return
        thread_id = as_text(meta.get("id"))
        self._reading.conversation_id = as_text(meta.get("session_id")) or thread_id
        self._thread_id = thread_id if thread_id != self._reading.conversation_id else None
        self._version = as_text(meta.get("cli_version"))
        provider = as_text(meta.get("model_provider")) or "openai"
        self._provider = "openai" if provider == _OURSELVES else provider
        self._project = as_text(meta.get("cwd"))
        spawned = as_dict(as_dict(as_dict(meta.get("source")).get("subagent")).get("thread_spawn"))
        self._parent_id = as_text(meta.get("parent_thread_id")) or as_text(spawned.get("parent_thread_id"))

    def _take_item(self, item: dict[str, Any]) -> None:
        kind = as_text(item.get("type"))
        if kind is None or not self._now_ns:
            return
        if kind in _OF_THE_MODEL or (kind == "message" and item.get("role") == "assistant"):
            self._add_output(kind, item)
        elif kind == "message" or kind.endswith("_output"):
            self._said(item)

    def _said(self, item: dict[str, Any]) -> None:
        """Something that is not the model's: the answer before is over."""
        self._open = None
        self._said_ns = self._now_ns
        self._waiting.append(item)
        call_id = as_text(item.get("call_id"))
        if call_id is not None:
            self._returned_ns.setdefault(call_id, self._now_ns)

    def _add_output(self, kind: str, item: dict[str, Any]) -> None:
        call_id = (as_text(item.get("call_id")) or as_text(item.get("id"))) if kind in _CALLS else None
        turn = self._open
        if turn is None:
            turn = self._open = self._begin(call_id or as_text(item.get("id")))
        turn.ended_ns = max(turn.ended_ns, self._now_ns)
        if call_id is not None:
            turn.call_ids.append(call_id)
            turn.called_ns[call_id] = self._now_ns
        turn.response["output"].append(item)

    def _begin(self, first_id: str | None) -> Turn:
        said_ns = self._said_ns or self._now_ns
        turns = self._reading.turns
        turn = Turn(
            key=first_id or f"{self._reading.conversation_id}/{self._now_ns}/{len(turns)}",
            response_id=None,
            provider=self._provider,
            wire_format="openai_responses",
            model=self._model,
            began_ns=min(said_ns, self._now_ns),
            ended_ns=self._now_ns,
            request={"model": self._model, "input": self._waiting},
            response={"object": "response", "model": self._model, "status": "completed", "output": []},
            returned_ns=self._returned_ns,
            project=self._project,
            client_version=self._version,
            thread_id=self._thread_id,
            parent_thread_id=self._parent_id,
        )
        self._waiting, self._returned_ns, self._said_ns = [], {}, None
        if self._next_usage is not None:
            turn.response["usage"], self._next_usage = self._next_usage, None
        turns.append(turn)
        return turn

    def _take_record(self, record: dict[str, Any]) -> None:
        self._has_records = True
        turn, self._open = self._open, None
        if turn is not None:  # none: an answer without items, as of a compaction
            turn.response_id = as_text(record.get("response_id"))
            turn.response["id"] = turn.response_id
            turn.response["usage"] = _usage(as_dict(record.get("usage")))

    def _take_counts(self, info: dict[str, Any]) -> None:
        totals = as_dict(info.get("total_token_usage"))
        if not totals or totals == self._totals:
            return
        usage = _usage(as_dict(info.get("last_token_usage")) or _difference(totals, as_dict(self._totals)))
        self._totals, self._open = totals, None
        turns = self._reading.turns
        if self._counts_come_first is None:
            self._counts_come_first = not turns
        if self._counts_come_first:
            self._next_usage = usage
        elif "usage" not in turns[-1].response:
            turns[-1].response["usage"] = usage


def _difference(totals: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    return {name: (as_int(count) or 0) - (as_int(before.get(name)) or 0) for name, count in totals.items()}


def _usage(counts: dict[str, Any]) -> dict[str, Any]:
    """In the form of the Responses API."""
    return {
        "input_tokens": as_int(counts.get("input_tokens")),
        "input_tokens_details": {
            "cached_tokens": as_int(counts.get("cached_input_tokens")),
            "cache_write_tokens": as_int(counts.get("cache_write_input_tokens")),
        },
        "output_tokens": as_int(counts.get("output_tokens")),
        "output_tokens_details": {"reasoning_tokens": as_int(counts.get("reasoning_output_tokens"))},
        "total_tokens": as_int(counts.get("total_tokens")),
    }
