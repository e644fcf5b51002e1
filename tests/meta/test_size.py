"""Files stay small enough to be read in one sitting."""

from __future__ import annotations

import ast

import pytest

from .source import REPOSITORY, Module, modules

MAX_LINES = 400
P95_FUNCTION_LINES = 45


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_file_has_one_reason_to_change_and_at_most_400_lines(module: Module) -> None:
    assert len(module.path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


def test_no_file_beside_the_package_is_longer_either() -> None:
    paths = [path for folder in ("tests", "bench", "tools") for path in (REPOSITORY / folder).rglob("*.py")]
    assert len(paths) > 100
    assert [str(path) for path in paths if len(path.read_text(encoding="utf-8").splitlines()) > MAX_LINES] == []


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_file_says_what_it_is_for(module: Module) -> None:
    has_code = any(not isinstance(node, ast.Expr) for node in module.tree.body)
    assert not has_code or ast.get_docstring(module.tree)


def test_functions_are_short() -> None:
    lengths = sorted(
        (node.end_lineno or node.lineno) - node.lineno + 1
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    )
    assert lengths[len(lengths) * 95 // 100] <= P95_FUNCTION_LINES


def test_no_file_is_a_drawer_for_everything() -> None:
    drawers = {"utils", "util", "helpers", "common", "misc", "manager"}
    assert [module.name for module in modules() if drawers & set(module.name.split("."))] == []
