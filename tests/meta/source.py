"""The package's source, as the tests about it see it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = REPOSITORY / "src" / "lunaroute"


class Module(NamedTuple):
    """One source file of the package."""

    name: str
    """Dotted, such as `lunaroute.relay.worker`."""
    path: Path
    is_package: bool

    @property
    def stage(self) -> str:
        """The folder or file directly below the package; "" for the package itself."""
        return stage_of(self.name)

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text(encoding="utf-8"), self.path.name)


def stage_of(name: str) -> str:
    return [*name.split("."), ""][1]


def modules() -> list[Module]:
    return [_module(path) for path in sorted(PACKAGE.rglob("*.py"))]


def _module(path: Path) -> Module:
    parts = ["lunaroute", *path.relative_to(PACKAGE).with_suffix("").parts]
    is_package = parts[-1] == "__init__"
    return Module(".".join(parts[:-1] if is_package else parts), path, is_package)


def imported_names(module: Module) -> Iterator[str]:
    """Every module a file imports, absolute, wherever in the file; `from x import y` gives `x` and `x.y`."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(module, node)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = module.name.split(".")
    keep = len(package) - node.level + (1 if module.is_package else 0)
    return ".".join([*package[:keep], *([node.module] if node.module else [])])
