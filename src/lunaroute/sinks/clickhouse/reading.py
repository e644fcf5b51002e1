"""Answers of ClickHouse as Python's values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from .connection import ClickHouse, Unanswered

_SETTINGS: Final[dict[str, str | int]] = {
    "output_format_json_quote_64bit_integers": 0,
    # In a cluster: what is compared with another table of it is compared with all of that. A server of 2018 cannot sort
    # what it reads with FINAL from itself and from others; so it asks itself as it asks others.
    "distributed_product_mode": "global",
    "prefer_localhost_replica": 0,
}


class _Column(msgspec.Struct):
    name: str
    type: str


class Answer(msgspec.Struct):
    """`JSONCompact`."""

    meta: list[_Column]
    data: list[list[Any]]


_decoder = msgspec.json.Decoder(Answer)


def ask(server: ClickHouse, statement: str, settings: Mapping[str, str | int] | None = None) -> Answer:
    """Numbers as the columns' types say; moments as text. Raises StoreUnavailable."""
    text = f"{statement}\nFORMAT JSONCompact".encode()
    found = server.run(text, {**_SETTINGS, **(settings or {})})
    try:
        answer = _decoder.decode(found)
    except msgspec.DecodeError as error:
        # What goes wrong in the middle of an answer, such as another server's end, comes after its first lines.
        raise Unanswered(f"{server.name}: the answer broke off") from error
    floats = [place for place, column in enumerate(answer.meta) if "Float" in column.type]
    for row in answer.data:
        for place in floats:
            if type(row[place]) is int:  # JSON has one kind of number, and 3.0 is written 3
                row[place] = float(row[place])
    return answer


def rows_of(
    server: ClickHouse, statement: str, settings: Mapping[str, str | int] | None = None
) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in ask(server, statement, settings).data]
