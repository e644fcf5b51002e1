"""Writes docs/contract.md from the event types and the index's tables.

In: `lunaroute.events.types`, with what they hold of `lunaroute.dialects.facts` (annotations and the docstrings under
the fields), the tables of `lunaroute.sinks.sqlite.schema`, `contract_page.md` (the prose) and `contract_meanings.toml`
(what has no docstring). Out: the page. Invariant: every field and every column is on it, with its type and its meaning;
what has no meaning is an error.

    python tools/gen_contract.py
"""

from __future__ import annotations

import ast
import re
import sqlite3
import sys
import tomllib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, get_args

from lunaroute.dialects import facts
from lunaroute.events import figures, types
from lunaroute.redact import report, settings
from lunaroute.sessions import Confidence, ThreadKind
from lunaroute.sinks.sqlite import schema
from lunaroute.stats.caching import Reason

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "contract.md"

EVENTS = ("Started", "RequestRecorded", "ResponseRecorded", "ToolCallRecorded", "StatsSnapshot", "Completed")
COMMON = "_Event"
_INTROS = {
    "Started": "The first line of a session.",
    "RequestRecorded": "A request has been received in full (or as far as it came).",
    "ResponseRecorded": "An exchange is over. Written for every exchange: streamed or not, failed, cut off, cancelled.",
    "ToolCallRecorded": "A tool call's result has arrived. Written once per call. `request_id` is the exchange that"
    " carried the result.",
    "StatsSnapshot": "The session so far: every `sessions.snapshot_every_exchanges` exchanges or"
    " `sessions.snapshot_every_s` seconds, whichever comes first.",
    "Completed": "The session is over. The last line.",
}


class MeaningsError(Exception):
    """A field has no meaning, or a meaning no field."""


class Struct(NamedTuple):
    fields: list[Field]
    docstring: str | None


class Field(NamedTuple):
    name: str
    annotation: ast.expr
    docstring: str | None


class Meanings:
    """What fields and columns mean; remembers which entries were used."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._tables: dict[str, dict[str, str]] = document.pop("tables")
        self._structs: dict[str, dict[str, str]] = document
        self._unused = {(place, name) for place, names in self._all() for name in names}

    def of_field(self, struct: str, field: Field) -> str:
        if field.docstring is not None:
            return field.docstring
        return self._look_up(struct, "fields", name=field.name)

    def of_column(self, table: str, column: str, from_events: dict[str, str]) -> str:
        if column in self._tables.get(table, {}):
            return self._look_up(f"tables.{table}", name=column)
        meaning = from_events.get(column)
        if meaning is None:
            raise MeaningsError(f"column {table}.{column} has no meaning in contract_meanings.toml")
        return meaning

    def check_all_used(self) -> None:
        if self._unused:
            raise MeaningsError(f"meanings of nothing in contract_meanings.toml: {sorted(self._unused)}")

    def _look_up(self, *places: str, name: str) -> str:
        known = dict(self._all())
        for place in places:
            if name in known.get(place, {}):
                self._unused.discard((place, name))
                return known[place][name]
        raise MeaningsError(f"{places[0]}.{name} has neither a docstring nor an entry in contract_meanings.toml")

    def _all(self) -> Iterator[tuple[str, dict[str, str]]]:
        yield from self._structs.items()
        for table, names in self._tables.items():
            yield f"tables.{table}", names


def render() -> str:
    """The whole page. Raises MeaningsError."""
    # Some values of the dialects stand in events as they are.
    modules = (facts, report, figures, types)
    structs = {name: one for module in modules for name, one in _structs(_parsed(module)).items()}
    meanings = Meanings(tomllib.loads((HERE / "contract_meanings.toml").read_text(encoding="utf-8")))
    events = "".join(_events(structs, meanings))
    tables = "".join(_tables(structs, meanings))
    meanings.check_all_used()
    page = (HERE / "contract_page.md").read_text(encoding="utf-8")
    parts = {
        "events": events,
        "tables": tables.rstrip("\n"),
        "schema": str(types.SCHEMA_VERSION),
        "sqlite_schema": str(schema.SCHEMA_VERSION),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], page)


def _parsed(module: ModuleType) -> ast.Module:
    return ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))


# ---- events


def _structs(module: ast.Module) -> dict[str, Struct]:
    """Every struct, its fields in order."""
    classes = [node for node in module.body if isinstance(node, ast.ClassDef)]
    return {node.name: Struct(list(_fields(node)), _for_readers(ast.get_docstring(node))) for node in classes}


def _fields(node: ast.ClassDef) -> Iterator[Field]:
    for statement, following in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            docstring = None
            if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
                docstring = _for_readers(str(following.value.value))
            yield Field(statement.target.id, statement.annotation, docstring)


def _for_readers(docstring: str | None) -> str | None:
    """On one line, and in the words of those who read JSON."""
    if docstring is None:
        return None
    return " ".join(docstring.split()).replace(" (NO_JSON)", "").replace("None = ", "null = ")


def _events(structs: dict[str, Struct], meanings: Meanings) -> Iterator[str]:
    yield "### Every line\n\n`type` says which event it is. The others:\n\n"
    yield _field_table(COMMON, structs[COMMON].fields, meanings)
    shown: set[str] = set()
    for name in EVENTS:
        yield f"### `{_tag(name)}`\n\n{_INTROS[name]}\n\n"
        yield _field_table(name, structs[name].fields, meanings)
        yield from _nested(name, structs, meanings, shown)


def _nested(
    name: str, structs: dict[str, Struct], meanings: Meanings, shown: set[str], path: str = ""
) -> Iterator[str]:
    """The structs inside a struct, each once on the page, under the path by which a query reaches it."""
    for field in structs[name].fields:
        for inner in _names(field.annotation):
            if inner in structs and inner not in shown:
                shown.add(inner)
                where = f"{path}.{field.name}{_suffix(field.annotation)}".lstrip(".")
                about = structs[inner].docstring
                yield f"#### `{where}`\n\n" + (f"{about}\n\n" if about else "")
                yield _field_table(inner, structs[inner].fields, meanings)
                yield from _nested(inner, structs, meanings, shown, where)


def _tag(name: str) -> str:
    return str(getattr(types, name).__struct_config__.tag)


def _suffix(annotation: ast.expr) -> str:
    text = ast.unparse(annotation)
    return "[]" if text.startswith("list[") else ".<name>" if text.startswith("dict[") else ""


def _names(annotation: ast.expr) -> list[str]:
    return [node.id for node in ast.walk(annotation) if isinstance(node, ast.Name)]


def _field_table(struct: str, fields: list[Field], meanings: Meanings) -> str:
    rows = [f"| `{field.name}` | {_type(field.annotation)} | {meanings.of_field(struct, field)} |" for field in fields]
    return "\n".join(["| field | type | meaning |", "|---|---|---|", *rows]) + "\n\n"


_WORDS = {
    "str": "text",
    "int": "integer",
    "float": "number",
    "bool": "true / false",
    "Any": "any JSON",
    "None": "null",
    "msgspec.Raw": "any JSON",
    "Outcome": "text, see [Outcomes](#outcomes)",
}


_CHOICES = {
    "CompletionReason": types.CompletionReason,
    "Confidence": Confidence,
    "Mode": settings.Mode,
    "Reason": Reason,
    "Source": types.Source,
    "ThreadKind": ThreadKind,
}


def _type(annotation: ast.expr) -> str:
    """A type in words for people who read JSON, not Python."""
    match annotation:
        case ast.BinOp(left=left, right=right):
            return f"{_type(left)} or {_type(right)}"
        case ast.Subscript(value=ast.Name(id="list"), slice=inner):
            return f"array of {_type(inner)}"
        case ast.Subscript(value=ast.Name(id="dict"), slice=ast.Tuple(elts=[_, inner])):
            return f"object of {_type(inner)}"
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=parts)):
            return "[" + ", ".join(_type(part) for part in parts) + "]"
        case ast.Subscript(value=ast.Name(id="Literal"), slice=ast.Tuple(elts=values)):
            return " · ".join(f"`{value.value!s}`" for value in values if isinstance(value, ast.Constant))
    text = ast.unparse(annotation)
    if text in _CHOICES:
        return " · ".join(f"`{value}`" for value in get_args(_CHOICES[text]))
    return _WORDS.get(text, "object")


# ---- tables


def _tables(structs: dict[str, Struct], meanings: Meanings) -> Iterator[str]:
    with closing(sqlite3.connect(":memory:")) as database:
        for statement in schema.DDL:
            database.execute(statement)
        for table in re.findall(r"CREATE (?:(?:VIRTUAL )?TABLE|VIEW) (\w+)", "\n".join(schema.DDL)):
            from_events = _column_meanings(table, structs, meanings)
            yield f"### `{table}`\n\n"
            columns = database.execute('SELECT name, type, "notnull", pk FROM pragma_table_info(?)', (table,))
            yield "| column | type | meaning |\n|---|---|---|\n"
            for name, kind, is_filled, key in columns:
                never_null = " NOT NULL" if is_filled or key else ""
                meaning = meanings.of_column(table, name, from_events)
                yield f"| `{name}` | {kind or 'TEXT'}{never_null} | {meaning} |\n"
            yield "\n"


_SOURCES = {
    "schema_version": (),
    "sessions": (COMMON, "ContextSums", "Started", "Metadata", "Tokens", "Cost", "FinalStats"),
    "session_stats": (
        *(COMMON, "Tokens", "Cost", "StreamingStats", "ResponseRecorded", "RequestRecorded", "RequestStats"),
        *("Context", "ResponseStats"),
    ),
    "tool_calls": (COMMON, "ToolCallRecorded", "ToolUse"),
    "tool_call_executions": (COMMON, "ToolCallRecorded"),
    "stream_events": (COMMON, "StreamEvent"),
    "daily_stats": ("RequestRecorded", "Tokens", "Cost", "FinalStats"),
    "hourly_stats": ("RequestRecorded", "Tokens", "Cost", "FinalStats"),
    "hourly_latencies": (),
    "daily_latencies": (),
    "daily_tool_stats": ("ToolCallRecorded",),
    "session_facets": (COMMON,),
    "texts": (COMMON,),
    "text_search": (),
}
"""Table → the structs whose fields its columns of the same name hold; where two have one, the later."""


def _column_meanings(table: str, structs: dict[str, Struct], meanings: Meanings) -> dict[str, str]:
    found: dict[str, str] = {}
    for struct in _SOURCES[table]:
        for field in structs[struct].fields:
            found[field.name] = meanings.of_field(struct, field)
    return found


def main() -> None:
    try:
        page = render()
    except MeaningsError as error:
        sys.exit(f"gen_contract: {error}")
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
