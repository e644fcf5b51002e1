"""[pure] The tables as data: their columns, and what kind of value each holds.

In: the DDL of the index, which is where tables are described (docs/contract.md). Out: a list of columns for each table,
from which the other stores' DDL is made: a column that is added there is added everywhere.
"""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec

from lunaroute.sinks.sqlite.schema import DDL

Kind = Literal["text", "integer", "real", "blob", "moment", "flag"]

_TABLE: Final = re.compile(r"\s*CREATE TABLE (\w+) \((.*)\)", re.DOTALL)
_KINDS: Final[dict[str, Kind]] = {"TEXT": "text", "INTEGER": "integer", "REAL": "real", "BLOB": "blob"}
_FLAG: Final = re.compile(r"(?:is|has)_\w+|success|\w+_is_estimated|bodies_deleted")
"""Columns of SQLite's 0 and 1, which other stores keep as truth values."""


class Column(msgspec.Struct, frozen=True):
    name: str
    kind: Kind
    is_required: bool
    """It is never NULL."""


def _columns(body: str) -> tuple[Column, ...]:
    pieces = (piece.split() for piece in re.split(r",(?![^(]*\))", body))
    return tuple(
        Column(piece[0], _kind(piece[0], _KINDS[piece[1]]), piece[2:4] == ["NOT", "NULL"] or "PRIMARY" in piece)
        for piece in pieces
        if len(piece) > 1 and piece[1] in _KINDS
    )


def _kind(name: str, stored: Kind) -> Kind:
    if stored == "text" and name.endswith("_at"):
        return "moment"
    return "flag" if stored == "integer" and _FLAG.fullmatch(name) else stored


TABLES: Final[dict[str, tuple[Column, ...]]] = {
    found[1]: _columns(found[2]) for found in map(_TABLE.match, DDL) if found is not None
}
