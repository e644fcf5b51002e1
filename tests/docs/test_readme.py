"""The pages name only what exists: settings with their defaults, commands, files, tests."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from lunaroute.cli import cli
from lunaroute.config import Config

from .snippets import REPOSITORY, blocks

_PAGES = sorted(
    path.relative_to(REPOSITORY).as_posix() for path in [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")]
)
_FORBIDDEN = re.compile(r"/work\b|/root\b|/home/\w|/tmp/|pypi\.org|registry\.npmjs|crates\.io", re.IGNORECASE)


def _text(page: str) -> str:
    return (REPOSITORY / page).read_text(encoding="utf-8")


def test_every_setting_is_in_the_readme_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+\.\w+)` \| `?([^`|]+?)`? \|", _text("README.md"), re.MULTILINE))
    config = Config(home=Path())
    defaults: dict[str, str] = {"upstreams.NAME": "–"}
    sections = (
        "server",
        "timeouts",
        "recording",
        "sessions",
        "redaction",
        "dashboard",
        "storage",
        "archive",
        "encryption",
        "tenants",
        "encryption",
        "query",
    )
    for section in sections:
        for key, value in msgspec.structs.asdict(getattr(config, section)).items():
            defaults[f"{section}.{key}"] = (",".join(value) or "–") if isinstance(value, tuple) else _as_toml(value)
    assert rows == defaults


def _as_toml(value: object) -> str:
    if value is None:
        return "–"
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.parametrize("page", _PAGES)
def test_pages_name_no_machine_and_no_registry(page: str) -> None:
    assert _FORBIDDEN.findall(_text(page)) == []


@pytest.mark.parametrize("page", _PAGES)
def test_links_lead_somewhere(page: str) -> None:
    folder = (REPOSITORY / page).parent
    targets = [target for target in re.findall(r"\]\(([^)#\s]+)", _text(page)) if "://" not in target]
    assert [target for target in targets if not (folder / target).exists()] == []


def _missing_tests(text: str) -> list[str]:
    named = re.findall(r"`((?:tests|src)/[\w/]+\.py)::(test_\w+)`", text)
    return [
        f"{file}::{name}"
        for file, name in named
        if not (REPOSITORY / file).is_file() or f"def {name}(" not in _text(file)
    ]


@pytest.mark.parametrize("page", _PAGES)
def test_every_test_a_page_names_exists(page: str) -> None:
    assert _missing_tests(_text(page)) == []


def test_a_test_that_is_not_there_is_noticed() -> None:
    text = "`tests/docs/test_readme.py::test_gone` `tests/docs/gone.py::test_x` `tests/docs/test_readme.py::_text`"
    assert _missing_tests(text) == ["tests/docs/test_readme.py::test_gone", "tests/docs/gone.py::test_x"]


@pytest.mark.parametrize("page", _PAGES)
def test_every_file_a_page_names_exists(page: str) -> None:
    named = re.findall(r"`((?:src|tests|docs|tools|bench)/[\w./-]+\.(?:py|md|toml|sh))`", _text(page))
    assert [name for name in named if not (REPOSITORY / name).exists()] == []


@pytest.mark.parametrize("page", _PAGES)
def test_every_command_a_page_shows_exists(page: str) -> None:
    known = set(cli.list_commands(None))  # type: ignore[arg-type]
    shell = "\n".join(block.text for block in blocks(page) if block.language == "bash")
    inline = "\n".join(re.findall(r"`(lunaroute [^`]+)`", _text(page)))
    named = set(re.findall(r"(?:^|[`(\s])lunaroute ([a-z]+)\b", f"{shell}\n{inline}", re.MULTILINE))
    assert named - known == set()


def test_durability_promises_nothing_without_a_test() -> None:
    rows = [line for line in _text("docs/durability.md").splitlines() if line.startswith("|")]
    promises = [row for row in rows if not row.startswith("|---") and "| proven by |" not in row]
    assert len(promises) > 20
    assert [row for row in promises if not re.search(r"`(?:tests|src)/[\w/]+\.py::[Tt]est_?\w+` \|$", row)] == []
