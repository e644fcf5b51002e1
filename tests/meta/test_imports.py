"""The shape of the system: bytes flow down the list of stages, imports only point up it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from .source import Module, imported_names, modules, stage_of

STAGES = [
    *("capture", "encryption", "spool", "relay", "assemble", "redact", "dialects", "sessions", "stats", "pricing"),
    "events",
    *(
        "transcripts",
        "sinks",
        "live",
        "recorder",
        "shipping",
        "archive",
        "verify",
        "query",
        "export",
        "api",
        "access",
        "supervisor",
        "alerts",
        "config_checks",
        "config_file",
        "dashboard",
        "simulator",
        "demo",
        "top",
        "cli",
        "testing",
        "__main__",
    ),
]
LEAVES = {"", "errors", "config", "config_tables", "compiled"}
"""Importable by all, except that `config` is for shells only."""
CONTRACTS = {"lunaroute.supervisor.spec"}
"""What a process is told at its start; like `config`, importable by the processes that are started."""
FACE = {"lunaroute.api"}
"""What `import lunaroute` offers; it is imported when it is asked for."""
SHELLS = {
    *(
        "encryption",
        "spool",
        "relay",
        "sinks",
        "recorder",
        "shipping",
        "verify",
        "archive",
        "query",
        "export",
        "api",
        "supervisor",
        "alerts",
        "config_checks",
        "config_file",
        "dashboard",
        "simulator",
        "demo",
        "top",
        "cli",
    ),
    *("__main__",),
}
PURE = {"assemble", "redact", "dialects", "sessions", "stats", "pricing", "events", "transcripts", "access"}
IMPURE_MODULES = {
    *("time", "os", "socket", "random", "secrets", "threading", "logging", "asyncio", "pathlib", "subprocess"),
    *("multiprocessing", "concurrent", "select", "selectors", "signal", "io", "tempfile", "shutil", "glob"),
    *("urllib.request", "http", "sqlite3", "uvloop"),
}
JOINS_RELAY_AND_SPOOL = {"lunaroute.relay.__main__", "lunaroute.relay.worker"}


def _ours(module: Module) -> list[str]:
    return [name for name in imported_names(module) if name.split(".")[0] == "lunaroute"]


def _violations(module: Module) -> list[str]:
    if module.stage in LEAVES:
        offered = FACE if module.stage == "" else set()
        return [
            name
            for name in _ours(module)
            if stage_of(name) not in LEAVES and not any(name.startswith(one) for one in offered)
        ]
    place = STAGES.index(module.stage)
    found = []
    for name in _ours(module):
        stage = stage_of(name)
        is_contract = any(name == contract or name.startswith(f"{contract}.") for contract in CONTRACTS)
        if stage in STAGES and STAGES.index(stage) > place and not is_contract:
            found.append(name)
    return found


def test_there_is_something_to_look_at() -> None:
    assert len(modules()) > 50
    assert {module.stage for module in modules()} >= {"capture", "spool", "relay", "events", "sinks", "cli"}


@pytest.mark.parametrize(
    ("name", "text", "is_allowed"),
    [
        ("lunaroute.spool.writer", "from lunaroute.capture.records import Record", True),
        ("lunaroute.spool.writer", "def f():\n    import lunaroute.sinks.jsonl", False),
        ("lunaroute.spool.writer", "from ..relay import tap", False),
        ("lunaroute.spool.writer", "from . import frame", True),
        ("lunaroute.relay.__main__", "from lunaroute.supervisor.spec import WorkerSpec", True),
        ("lunaroute.relay.__main__", "from lunaroute.supervisor.server import serve", False),
        ("lunaroute.errors", "import lunaroute.config_file", False),
    ],
)
def test_rule_sees_imports_of_every_form(tmp_path: Path, name: str, text: str, is_allowed: bool) -> None:
    path = tmp_path / "module.py"
    path.write_text(text)
    assert (_violations(Module(name, path, False)) == []) is is_allowed


def test_every_folder_has_its_place_in_the_list_of_stages() -> None:
    assert {module.stage for module in modules()} - LEAVES - set(STAGES) == set()


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_imports_only_point_up_the_list_of_stages(module: Module) -> None:
    assert _violations(module) == []


@pytest.mark.parametrize("stage", sorted(PURE))
def test_pure_stages_have_no_clock_file_socket_thread_or_randomness(stage: str) -> None:
    found = [
        f"{module.name} imports {name}"
        for module in modules()
        if module.stage == stage
        for name in imported_names(module)
        if name in IMPURE_MODULES or name.split(".")[0] in IMPURE_MODULES
    ]
    assert found == []


def test_config_is_for_shells_only() -> None:
    found = [
        module.name
        for module in modules()
        if module.stage not in SHELLS | LEAVES
        for name in imported_names(module)
        if name == "lunaroute.config"
    ]
    assert found == []


def test_relay_and_spool_meet_in_one_place() -> None:
    found = [
        f"{module.name} imports {name}"
        for module in modules()
        if module.stage in ("relay", "spool") and module.name not in JOINS_RELAY_AND_SPOOL
        for name in _ours(module)
        if stage_of(name) in {"relay", "spool"} - {module.stage}
    ]
    assert found == []


def test_stages_import_no_command_line_packages() -> None:
    found = [
        f"{module.name} imports {name}"
        for module in modules()
        if module.stage not in {"cli", "query", "demo", "simulator", "top"}
        for name in imported_names(module)
        if name.split(".")[0] in {"click", "rich"}
    ]
    assert found == []


def test_only_declared_packages_are_imported() -> None:
    declared = {
        *("uvloop", "httptools", "msgspec", "isal", "backports", "brotli", "click", "rich", "genai_prices"),
        *("anthropic", "openai", "re2", "obstore", "asyncpg", "nacl", "textual"),
        *("starlette", "uvicorn", "jinja2", "markupsafe", "markdown_it", "prometheus_client", "opentelemetry"),
    }
    allowed = declared | sys.stdlib_module_names | {"lunaroute", "compression"}
    found = {
        f"{module.name} imports {name}"
        for module in modules()
        for name in imported_names(module)
        if name.split(".")[0] not in allowed
    }
    assert found == set()
