"""Arguments of a call that Vertex AI streams piece by piece (`streamFunctionCallArguments`).

In: `partialArgs` entries, each a JSON path (RFC 9535, names and indexes only) and a value. Out: the arguments they add
up to. A string grows as long as its path is named again; everything else is put once. Paths that lead nowhere are
passed over.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from lunaroute.dialects.loose import as_int, as_text

_STEP = re.compile(r"""\.([^.\[\]]+)|\[(\d{1,5})\]|\['([^']*)'\]|\["([^"]*)"\]""")
_VALUES = ("stringValue", "numberValue", "boolValue")
_MAX_ITEMS = 10_000


def put_partial(arguments: dict[str, Any], entry: dict[str, Any]) -> None:
    """Take one entry in."""
    steps = _steps(as_text(entry.get("jsonPath")) or "")
    if not steps or not isinstance(steps[0], str):
        return
    value = next((entry[name] for name in _VALUES if name in entry), None)
    node: Any = arguments
    for step, following in pairwise(steps):
        node = _child(node, step, [] if isinstance(following, int) else {})
        if node is None:
            return
    _put(node, steps[-1], value)


def _steps(path: str) -> list[str | int]:
    steps: list[str | int] = []
    for found in _STEP.finditer(path.removeprefix("$")):
        index = found[2]
        steps.append(int(index) if index is not None else found[1] or found[3] or found[4] or "")
    return steps


def _child(node: Any, step: str | int, empty: Any) -> Any:
    """The container at `step`, made where there is none; None where the path does not fit."""
    if isinstance(step, str):
        return node.setdefault(step, empty) if isinstance(node, dict) else None
    if not isinstance(node, list) or step >= _MAX_ITEMS:
        return None
    while len(node) <= step:
        node.append(None)
    if node[step] is None:
        node[step] = empty
    return node[step]


def _put(node: Any, step: str | int, value: Any) -> None:
    if isinstance(step, int):
        if not isinstance(node, list) or step >= _MAX_ITEMS:
            return
        while len(node) <= step:
            node.append(None)
        node[step] = _grown(node[step], value)
    elif isinstance(node, dict):
        node[step] = _grown(node.get(step), value)


def _grown(known: Any, value: Any) -> Any:
    if isinstance(known, str) and isinstance(value, str):
        return known + value
    if isinstance(value, float) and as_int(value) is not None:
        return as_int(value)
    return value
