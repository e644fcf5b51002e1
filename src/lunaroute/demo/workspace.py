"""The agents' tools and the code base they pretend to work on: no file is read or written, no program is run."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

INSTRUCTIONS = """You are a careful software engineer working in a small Python shop back end.

House rules:
1. Look before you change: search for the place, read the code and its test, then decide.
2. Read files that belong together in one go instead of one after the other.
3. Make the smallest change that fixes the cause. No drive-by refactoring, no reformatting.
4. Run the tests after every change. A failing test is information: read it before the next edit.
5. Money is in euros with two decimals; rounding happens once, at the end of a computation.
6. Keep function signatures as they are unless asked to change them; callers live in other repositories.
7. When you are done, say in a few sentences what was wrong, what you changed and how you know that it works.

Layout: `src/shop` holds the package (cart, pricing, checkout, mail), `tests` mirrors it file by file. The tests
run in a few seconds and need no network. `src/shop/cart.py` is imported by the checkout service and by the nightly
report.
"""

TASK = "Customers report that the discount in the shopping cart is too high. Find out why, fix it and prove it."
FOLLOW_UP = "Thanks. In two sentences, for the change log: what was wrong and who was affected?"

_STRING = {"type": "string"}


class ToolSpec(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    description: str
    parameters: dict[str, Any]


def _spec(name: str, description: str, *parameters: str) -> ToolSpec:
    schema = {
        "type": "object",
        "properties": dict.fromkeys(parameters, _STRING),
        "required": list(parameters),
        "additionalProperties": False,
    }
    return ToolSpec(name=name, description=description, parameters=schema)


TOOLS = (
    _spec("grep", "Search the files under a path for a regular expression.", "pattern", "path"),
    _spec("read_file", "Read a text file of the repository.", "path"),
    _spec("edit_file", "Replace one occurrence of a text in a file by another.", "path", "old", "new"),
    _spec("run_tests", "Run the tests in a file or folder and return the output.", "target"),
)

_CART = '''"""The shopping cart: lines, and what they cost together."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    name: str
    price: float
    count: int


def cart_total(lines: list[Line], discount: float = 0.0) -> float:
    """The sum of all lines in euros, less the discount (0.1 = 10 %)."""
    total = 0.0
    for line in lines:
        total += line.price * line.count * (1 - discount)
    return total * (1 - discount)
'''
_CART_TEST = """from shop.cart import Line, cart_total

BREAD, MILK = Line("bread", 3.49, 2), Line("milk", 1.19, 3)


def test_total_without_discount():
    assert cart_total([BREAD, MILK]) == 10.55


def test_discount_is_taken_once():
    assert cart_total([BREAD, MILK], discount=0.1) == 9.50
"""
_TAKES_S = {"grep": 0.03, "read_file": 0.015, "edit_file": 0.01, "run_tests": 0.25}


class Workspace:
    """One agent's pretended checkout. `delay_factor` scales how long the tools take."""

    def __init__(self, delay_factor: float) -> None:
        self._delay_factor = delay_factor
        self._edit_count = 0

    async def run_tool(self, name: str, arguments: dict[str, Any]) -> str:
        """The tool's output; takes as long as such a tool plausibly does."""
        await asyncio.sleep(_TAKES_S.get(name, 0.01) * self._delay_factor)
        match name:
            case "grep":
                return "src/shop/cart.py:13:def cart_total(lines, discount)\ntests/test_cart.py:6:def test_total"
            case "read_file":
                return _CART_TEST if "test" in arguments["path"] else _CART
            case "edit_file":
                self._edit_count += 1
                return f"1 occurrence replaced in {arguments['path']}"
            case "run_tests":
                return self._test_output()
            case _:
                return f"no such tool: {name}"

    def _test_output(self) -> str:
        if self._edit_count > 1:
            return "tests/test_cart.py ..                                    [100%]\n2 passed in 0.21s"
        return (
            "tests/test_cart.py .F                                    [100%]\n"
            "FAILED tests/test_cart.py::test_discount_is_taken_once\n"
            "  assert 9.495000000000001 == 9.5\n1 failed, 1 passed in 0.24s"
        )
