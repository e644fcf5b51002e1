"""docs/contract.md says what the code says."""

from __future__ import annotations

import ast
import re
import sqlite3
import typing
from contextlib import closing

import msgspec
import pytest
from tools import gen_contract

from lunaroute.capture.records import Outcome
from lunaroute.events import types
from lunaroute.sinks.sqlite import schema


@pytest.fixture(scope="module")
def page() -> str:
    return gen_contract.PAGE.read_text(encoding="utf-8")


def test_page_is_what_the_generator_writes(page: str) -> None:
    assert page == gen_contract.render(), "run: python tools/gen_contract.py"


def test_every_field_of_every_struct_is_on_the_page(page: str) -> None:
    structs = [
        value
        for value in vars(types).values()
        if isinstance(value, type) and issubclass(value, msgspec.Struct) and value.__module__ == types.__name__
    ]
    names = {name for struct in structs for name in struct.__struct_fields__}
    assert len(names) > 100
    assert {name for name in names if f"| `{name}` | " not in page} == set()


def test_every_event_has_its_section(page: str) -> None:
    tags = {str(event.__struct_config__.tag) for event in typing.get_args(types.Event)}
    assert len(tags) == 6
    assert tags - set(re.findall(r"^### `(\w+)`$", page, re.MULTILINE)) == set()


def test_every_outcome_is_explained(page: str) -> None:
    assert {outcome for outcome in typing.get_args(Outcome) if f"| `{outcome}` | " not in page} == set()


def test_every_table_and_column_is_on_the_page(page: str) -> None:
    sections = dict(re.findall(r"^### `(\w+)`\n\n\| column \|.*?\n\|---.*?\n(.*?)\n(?:\n|\Z)", page, re.M | re.S))
    with closing(sqlite3.connect(":memory:")) as database:
        for statement in schema.DDL:
            database.execute(statement)
        for table, section in sections.items():
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            assert re.findall(r"^\| `(\w+)`", section, re.MULTILINE) == columns, table
    assert sections.keys() == set(re.findall(r"CREATE (?:(?:VIRTUAL )?TABLE|VIEW) (\w+)", " ".join(schema.DDL)))


def test_a_field_without_a_meaning_is_an_error() -> None:
    meanings = gen_contract.Meanings({"tables": {}, "fields": {}})
    field = gen_contract.Field("new_field", ast.Name("str"), None)
    with pytest.raises(gen_contract.MeaningsError, match="new_field"):
        meanings.of_field("Started", field)


def test_a_meaning_of_nothing_is_an_error() -> None:
    meanings = gen_contract.Meanings({"tables": {}, "Started": {"gone": "was removed"}})
    with pytest.raises(gen_contract.MeaningsError, match="gone"):
        meanings.check_all_used()
