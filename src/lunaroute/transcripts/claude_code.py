"""Claude Code's transcripts (`~/.claude/projects/<project>/<session>.jsonl`, sub-agents' files beside or below them).

In: the lines of one file. Out: its turns. A row is a message of the user or a block of the model's; rows of one
`message.id` are one answer, whatever stands between them, and all repeat its usage. Input and cache counts are the
provider's, told when the answer began. `output_tokens` is then a placeholder: it counts only where the row has a
`stop_reason`, or has grown since the answer's first row. Rows that the client wrote without asking anybody (model
`<synthetic>`) are no answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from lunaroute.dialects.loose import as_dict, as_int, as_list, as_text, read_any

from .turn import Reading, Turn, wall_ns

CLIENT = "claude-code"
_SYNTHETIC = "<synthetic>"
_PROVIDERS = {"msg_bdrk_": "aws", "msg_vrtx_": "google"}
"""Who served the answer, by the beginning of its id; else Anthropic."""


def read_claude_code(lines: Iterable[bytes]) -> Reading:
    """What the lines tell. Never raises: what is no JSON object is named, rows of other kinds are passed over."""
    reading = Reading()
    reader = _Reader()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        row = read_any(line)
        if not isinstance(row, dict):
            reading.bad_lines.append(number)
            continue
        session_id = as_text(row.get("sessionId"))
        if reading.conversation_id is None and session_id and row.get("type") in {"user", "assistant"}:
            reading.conversation_id = session_id
        reader.add(row)
    reading.turns = reader.turns()
    return reading


class _Thread:
    """One linear history: what waits to be sent with the next request."""

    def __init__(self, thread_id: str | None) -> None:
        self.thread_id = thread_id
        self.waiting: list[dict[str, Any]] = []
        self.returned_ns: dict[str, int] = {}
        self.said_ns: int | None = None


class _Answer:
    """An answer whose rows are being put together."""

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self.first_output_tokens: int | None = None


class _Reader:
    def __init__(self) -> None:
        self._threads: dict[str | None, _Thread] = {}
        self._thread_of_row: dict[str, str | None] = {}
        """Of rows of sub-agents without an id: the row with which their thread began."""
        self._answers: dict[str, _Answer] = {}
        self._now_ns = 0

    def turns(self) -> list[Turn]:
        return sorted((one.turn for one in self._answers.values()), key=lambda turn: turn.began_ns)

    def add(self, row: dict[str, Any]) -> None:
        message = as_dict(row.get("message"))
        if row.get("type") not in {"user", "assistant"} or not message:
            return
        self._now_ns = wall_ns(row.get("timestamp")) or self._now_ns
        if not self._now_ns:  # nothing tells when this was, so it has no place in any session
            return
        thread = self._thread(row)
        if row["type"] == "user":
            _add_user(thread, message, self._now_ns)
        elif message.get("model") != _SYNTHETIC:
            self._add_assistant(thread, row, message)

    def _thread(self, row: dict[str, Any]) -> _Thread:
        key: str | None = None
        if row.get("isSidechain") is True:
            uuid, parent = as_text(row.get("uuid")), as_text(row.get("parentUuid"))
            key = as_text(row.get("agentId")) or self._thread_of_row.get(parent or "") or uuid
            if uuid:
                self._thread_of_row[uuid] = key
        if key not in self._threads:
            self._threads[key] = _Thread(key)
        return self._threads[key]

    def _add_assistant(self, thread: _Thread, row: dict[str, Any], message: dict[str, Any]) -> None:
        key = as_text(message.get("id")) or as_text(row.get("uuid"))
        if key is None:
            return
        answer = self._answers.get(key)
        if answer is None:
            answer = self._answers[key] = _Answer(self._begin(key, thread, row, message))
        turn = answer.turn
        turn.ended_ns = max(turn.ended_ns, self._now_ns)
        for block in _blocks(message.get("content")):
            call_id = as_text(block.get("id")) if block.get("type") == "tool_use" else None
            if block in turn.response["content"]:
                continue  # the same row twice: a copy of the file in itself
            if call_id is not None:
                turn.call_ids.append(call_id)
                turn.called_ns[call_id] = self._now_ns
            turn.response["content"].append(block)
        for name in ("stop_reason", "stop_sequence"):
            if message.get(name) is not None:
                turn.response[name] = message[name]
        _take_usage(answer, message)

    def _begin(self, key: str, thread: _Thread, row: dict[str, Any], message: dict[str, Any]) -> Turn:
        said_ns = thread.said_ns or self._now_ns
        model = as_text(message.get("model"))
        turn = Turn(
            key=key,
            response_id=as_text(message.get("id")),
            provider=next((name for prefix, name in _PROVIDERS.items() if key.startswith(prefix)), "anthropic"),
            wire_format="anthropic_messages",
            model=model,
            began_ns=min(said_ns, self._now_ns),
            ended_ns=self._now_ns,
            request={"model": model, "messages": thread.waiting},
            response={"id": key, "type": "message", "role": "assistant", "model": model, "content": []},
            returned_ns=thread.returned_ns,
            project=as_text(row.get("cwd")),
            client_version=as_text(row.get("version")),
            thread_id=thread.thread_id,
            parent_thread_id=None if thread.thread_id is None else as_text(row.get("sessionId")),
        )
        thread.waiting, thread.returned_ns, thread.said_ns = [], {}, None
        return turn


def _add_user(thread: _Thread, message: dict[str, Any], now_ns: int) -> None:
    thread.waiting.append({"role": "user", "content": message.get("content")})
    thread.said_ns = now_ns
    for block in _blocks(message.get("content")):
        call_id = as_text(block.get("tool_use_id"))
        if block.get("type") == "tool_result" and call_id is not None:
            thread.returned_ns.setdefault(call_id, now_ns)


def _take_usage(answer: _Answer, message: dict[str, Any]) -> None:
    """The counts of the newest row, less an output that is only a placeholder."""
    usage = dict(as_dict(message.get("usage")))
    if not usage:
        return
    output = as_int(usage.get("output_tokens"))
    if answer.first_output_tokens is None:
        answer.first_output_tokens = output
    has_grown = output is not None and answer.first_output_tokens is not None and output > answer.first_output_tokens
    known = as_dict(answer.turn.response.get("usage")).get("output_tokens")
    if message.get("stop_reason") is None and not has_grown:
        usage.pop("output_tokens", None)
        usage.pop("output_tokens_details", None)
        if known is not None:
            return
    answer.turn.response["usage"] = usage


def _blocks(content: object) -> Iterator[dict[str, Any]]:
    yield from (block for block in as_list(content) if isinstance(block, dict))
