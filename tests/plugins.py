"""Packages that offer a sink, as an installer would leave them behind."""

from __future__ import annotations

import tomllib
from pathlib import Path


def install(folder: Path, module: str, source: str, project: str) -> None:
    """Put the module into the folder, and beside it what its pyproject.toml says of entry points."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{module}.py").write_text(source)
    about = folder / f"{module}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    groups = tomllib.loads(project)["project"]["entry-points"]
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {at}\n" for name, at in points.items()) for group, points in groups.items()
    ]
    (about / "entry_points.txt").write_text("\n".join(lines))
