"""What mypyc compiles differently from Python stands in no module that is compiled."""

from __future__ import annotations

import ast
import importlib.util

import pytest

from tests.meta.source import PACKAGE, REPOSITORY

_PURE = {"len", "min", "max", "find", "rfind", "start", "end"}


def _hot_modules() -> list[str]:
    spec = importlib.util.spec_from_file_location("hatch_build", REPOSITORY / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return list(module.HOT_MODULES)


def calls_in_slices(source: str) -> list[str]:
    """Calls in the bounds of slices, which mypyc 2.4 evaluates twice: `view[os.write(fd, view) :]` writes twice."""
    slices = [node.slice for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Subscript)]
    bounds = [bound for one in slices if isinstance(one, ast.Slice) for bound in (one.lower, one.upper, one.step)]
    calls = [call for bound in bounds if bound for call in ast.walk(bound) if isinstance(call, ast.Call)]
    return [text for text in map(ast.unparse, calls) if text.partition("(")[0].rpartition(".")[2] not in _PURE]


@pytest.mark.parametrize("name", _hot_modules())
def test_no_bound_of_a_slice_does_anything(name: str) -> None:
    assert calls_in_slices((PACKAGE / name).read_text(encoding="utf-8")) == []


def test_one_that_does_is_found() -> None:
    assert calls_in_slices("view = view[os.write(fd, view) : len(x)]") == ["os.write(fd, view)"]
