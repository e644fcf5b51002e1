"""[pure] A store that is a hundred times as large as a seed of it: each session again and again, some minutes later.

In: a table's columns. Out: the SELECT that gives its rows for copies `k`. Ids and moments move together (a UUIDv7
begins with its time), what a provider or a client names gets the copy's number, and each copied text gets a word of its
session's own, because a text that stands there a hundred times would be no test of a search.
"""

from __future__ import annotations

from typing import Final

from lunaroute.sinks.tables.described import Column

STEP_S: Final = 787
"""From one copy to the next: a prime, so that copies do not fall on each other's hours in a pattern."""
_IDS: Final = frozenset(("session_id", "request_id", "result_request_id", "continues", "forked_from", "retry_of"))
_NAMED: Final = frozenset(("conversation_id", "tool_call_id", "provider_request_id", "response_id", "thread_id"))
_OWN_WORD: Final = "concat('k', toString(k), 'x', substring(session_id, 25, 12))"


def copies_of(table: str, columns: tuple[Column, ...], source: str, first: int, after: int) -> str:
    """Copies first ≤ k < after; copy 0 is the seed itself."""
    values = ", ".join(f"{_value(table, one)} AS {one.name}_" for one in columns)
    numbers = f"(SELECT toInt64(number) AS k FROM numbers({first}, {after - first}))"
    return f"SELECT {values} FROM {source}.{table} FINAL CROSS JOIN {numbers} AS copies"


def _value(table: str, column: Column) -> str:
    name = column.name
    if name in _IDS:
        return _moved(name)
    if name in _NAMED:
        return f"concat({name}, '-', toString(k))"
    if column.kind == "moment":
        return f"addSeconds({name}, k * {STEP_S})"
    if table == "texts":
        if name == "text_id":
            return f"text_id + bitShiftLeft(k * {STEP_S * 1_000_000}, 10)"
        if name == "content":
            return f"concat(content, ' ', {_OWN_WORD})"
        if name == "words":
            return f"concat(words, {_OWN_WORD}, ' ')"
    return name


def _moved(name: str) -> str:
    """A UUIDv7 whose time is later, NULL where there is none; the rest stays."""
    digits = f"concat(substring({name}, 1, 8), substring({name}, 10, 4))"
    moved = f"lower(leftPad(hex(reinterpretAsUInt64(reverse(unhex({digits}))) + k * {STEP_S * 1000}), 12, '0'))"
    return f"concat(substring({moved}, 1, 8), '-', substring({moved}, 9, 4), substring({name}, 14))"
