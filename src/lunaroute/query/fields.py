"""[pure] What a filter can name: the fields, what kind each is, and what it means."""

from __future__ import annotations

from typing import Final, Literal, get_args

import msgspec

from lunaroute.capture.records import Outcome
from lunaroute.events.types import Source

Kind = Literal["name", "flag", "moment", "count", "usd", "ms"]


WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Field(msgspec.Struct, frozen=True):
    kind: Kind
    meaning: str
    choices: tuple[str, ...] = ()
    """The only names there are; empty = whatever was recorded."""


FIELDS: Final[dict[str, Field]] = {
    "provider": Field("name", "Who is billed: anthropic, openai …"),
    "model": Field("name", "The model that answered, else the one asked for."),
    "client": Field("name", "The program that sent the requests: claude-code, codex …"),
    "tool": Field("name", "A tool the model called."),
    "tag": Field("name", "A tag of the session."),
    "tenant": Field("name", "Whose session it is, by the rules of [tenants]."),
    "node": Field("name", "The machine or pod that recorded it."),
    "outcome": Field("name", "How an exchange ended.", get_args(Outcome)),
    "status": Field("name", "HTTP status of a response."),
    "source": Field("name", "wire: passed the relay; transcript: imported from what a client kept.", get_args(Source)),
    "session": Field("name", "Session id, or the beginning of it."),
    "weekday": Field("name", "The day of the week on which it began, UTC.", WEEKDAYS),
    "hour": Field("name", "The hour of the day in which it began, UTC.", tuple(f"{hour:02}" for hour in range(24))),
    "kind": Field("name", "Who said it (search).", ("user", "assistant", "tool_arguments", "tool_result")),
    "error": Field("flag", "Something failed."),
    "live": Field("flag", "The session is not over."),
    "since": Field("moment", "Still going on at this time or later."),
    "until": Field("moment", "Begun before this time."),
    "cost": Field("usd", "US dollars."),
    "tokens": Field("count", "Input and output tokens."),
    "input": Field("count", "Input tokens, cached ones included (exchanges)."),
    "output": Field("count", "Output tokens, thinking included (exchanges)."),
    "thinking": Field("count", "Thinking tokens (exchanges)."),
    "cached": Field("count", "Input tokens read from the cache (exchanges)."),
    "requests": Field("count", "Exchanges (sessions)."),
    "tools": Field("count", "Tool calls."),
    "errors": Field("count", "Failed exchanges (sessions)."),
    "latency": Field("ms", "Request sent to last byte; of a session, that of its slowest exchange."),
    "ttft": Field("ms", "Request sent to first token; of a session, that of its slowest exchange."),
    "duration": Field("ms", "Of a session, an exchange or a tool call, from beginning to end."),
}
