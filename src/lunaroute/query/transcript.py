"""A session as a story, told from its file: who said what, which tools ran, what it cost.

In: the session's file, plain or compressed. Out: a `Transcript`: turns in the order of their requests.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from lunaroute.errors import NoSuchSession
from lunaroute.events import Event
from lunaroute.events.figures import (
    Tokens,
)
from lunaroute.events.types import (
    Completed,
    RequestRecorded,
    ResponseRecorded,
    Started,
    ToolCallRecorded,
)
from lunaroute.sinks.layout import existing_file
from lunaroute.sinks.session_file import BadLine, read_events


class ToolUseView(msgspec.Struct, kw_only=True):
    """A tool call and, as soon as it is known, its result."""

    tool_name: str
    tool_call_id: str | None
    arguments: str
    execution_time_ms: float | None = None
    success: bool | None = None
    output_text: str | None = None
    """None = no result was recorded (yet)."""


class Turn(msgspec.Struct, kw_only=True):
    """One exchange."""

    request_id: str
    timestamp: str
    model: str | None
    request_text: str
    response_text: str = ""
    thinking_text: str = ""
    tool_calls: list[ToolUseView] = []
    outcome: str | None = None
    """None = no response was recorded (yet)."""
    status_code: int | None = None
    finish_reason: str | None = None
    error: str | None = None
    provider_latency_ms: float | None = None
    time_to_first_token_ms: float | None = None
    total_proxy_overhead_ms: float | None = None
    tokens: Tokens = Tokens()
    total_cost_usd: float | None = None
    is_prewarm: bool = False
    goes_on_from: int | None = None
    """Number of the turn (from 1) whose response this one names instead of sending its history again."""
    whole_item_count: int | None = None
    """Items of the whole input then, as far as this session has it."""
    cache_lost_tokens: int | None = None
    """Tokens that could have been read from the provider's cache and were paid for again; None = none, or nobody
    said."""
    cache_lost_reason: str | None = None
    """What in the prompt was not as before, see `stats.context.cache_miss`."""
    cache_lost_cost_usd: float | None = None


class Transcript(msgspec.Struct, kw_only=True):
    """What a session's file tells."""

    path: Path
    started: Started | None = None
    completed: Completed | None = None
    """None = still running, or it never ended in order."""
    turns: list[Turn] = []
    bad_lines: list[BadLine] = []


def show_session(sessions_dir: Path, session_id: str) -> Transcript:
    """The session's transcript. Raises NoSuchSession when its file is not there, OSError."""
    try:
        path = existing_file(sessions_dir, session_id)
    except ValueError as error:
        raise NoSuchSession(str(error)) from error
    if path is None:
        raise NoSuchSession(f"the file of session {session_id} is not in {sessions_dir}")
    return read_transcript(path)


def read_transcript(path: Path) -> Transcript:
    """The transcript of one session file. Lines that cannot be read are named in it. Raises OSError."""
    transcript = Transcript(path=path)
    tell(transcript, read_events(path, transcript.bad_lines.append))
    return transcript


def tell(transcript: Transcript, events: Iterable[Event]) -> None:
    """Add to the transcript what these events of its session say, in their order."""
    teller = _Teller(transcript)
    for event in events:
        teller.add(event)


class _Teller:
    """Fills a transcript; remembers where requests and calls stand."""

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript
        self._turns: dict[str, Turn] = {}
        self._calls: dict[tuple[str, str | None], ToolUseView] = {}
        self._served: dict[str, tuple[int, int]] = {}
        """Response id → (number of its turn, items of the whole input and of the answer)."""
        self._places: dict[str, tuple[int, int]] = {}
        """Request id → (number of its turn, items of its whole input)."""

    def add(self, event: Event) -> None:
        match event:
            case Started():
                self._transcript.started = event
            case RequestRecorded():
                turn = self._begin(event.request_id, event.timestamp, event.model_requested, event.request_text)
                turn.is_prewarm = event.is_prewarm
                self._add_history(turn, event)
            case ResponseRecorded():
                self._add_response(event)
            case ToolCallRecorded():
                self._add_result(event)
            case Completed():
                self._transcript.completed = event
            case _:
                pass

    def _begin(self, request_id: str, timestamp: str, model: str | None, text: str) -> Turn:
        turn = Turn(request_id=request_id, timestamp=timestamp, model=model, request_text=text)
        self._turns[request_id] = turn
        self._transcript.turns.append(turn)
        return turn

    def _add_history(self, turn: Turn, event: RequestRecorded) -> None:
        known = self._served.get(event.previous_response_id or "")
        own_count = event.stats.message_count or 0
        if known is not None:
            turn.goes_on_from, before_count = known
            turn.whole_item_count = before_count + own_count
        self._places[event.request_id] = len(self._transcript.turns), turn.whole_item_count or own_count

    def _add_response(self, event: ResponseRecorded) -> None:
        turn = self._turns.get(event.request_id) or self._begin(event.request_id, event.timestamp, None, "")
        stats = event.stats
        if event.response_id is not None:
            number, count = self._places.get(event.request_id, (0, 0))
            self._served[event.response_id] = number, count + len(stats.content_blocks)
        turn.model = event.model_used or turn.model
        turn.response_text = event.response_text
        turn.thinking_text = event.thinking_text
        turn.outcome = event.outcome
        turn.status_code = event.status_code
        turn.finish_reason = event.finish_reason
        turn.error = (event.error.message or event.error.type) if event.error else None
        turn.provider_latency_ms = stats.provider_latency_ms
        turn.time_to_first_token_ms = stats.time_to_first_token_ms
        turn.total_proxy_overhead_ms = stats.total_proxy_overhead_ms
        turn.tokens = stats.tokens
        miss = None if stats.context is None else stats.context.cache_miss
        if miss is not None:
            turn.cache_lost_tokens, turn.cache_lost_cost_usd = miss.missed_tokens, miss.cost_usd
            turn.cache_lost_reason = miss.reason
        turn.total_cost_usd = stats.estimated_cost.total_cost_usd if stats.estimated_cost else None
        for call in stats.tool_calls:
            view = ToolUseView(tool_name=call.tool_name, tool_call_id=call.tool_call_id, arguments=call.arguments)
            turn.tool_calls.append(view)
            self._calls[event.request_id, call.tool_call_id] = view

    def _add_result(self, event: ToolCallRecorded) -> None:
        view = self._calls.get((event.call_request_id, event.tool_call_id))
        if view is None:
            # The call stands in the session that this one continues; there is no turn of ours to show it in.
            return
        view.execution_time_ms = event.execution_time_ms
        view.success = event.success
        view.output_text = event.output_text
