"""The command line and the processes load only what they need, and every command explains itself."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from lunaroute.cli import cli

from .source import modules

MAX_HELP_CPU_S = 0.150
SERVER_PACKAGES = {
    *("rich", "msgspec", "uvloop", "asyncio", "genai_prices", "httptools", "brotli", "sqlite3", "anthropic", "openai"),
}


def _loaded_by(statement: str) -> set[str]:
    """Top-level packages and our own modules that a fresh interpreter has after `statement`."""
    script = (
        "import sys, contextlib, io\n"
        f"with contextlib.redirect_stdout(io.StringIO()):\n  {statement}\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30)
    names = done.stdout.split()
    return {name.split(".")[0] for name in names} | {name for name in names if name.startswith("lunaroute")}


_HELP = "from lunaroute.cli import cli; cli.main(['--help'], standalone_mode=False)"


def test_help_imports_nothing_of_the_server() -> None:
    loaded = _loaded_by(_HELP)
    assert "click" in loaded
    assert loaded & SERVER_PACKAGES == set()
    assert {name for name in loaded if name.startswith("lunaroute")} == {
        *("lunaroute", "lunaroute.cli", "lunaroute.errors")
    }


def test_help_is_there_at_once() -> None:
    def cpu_s() -> float:
        # Processor time: what other processes do to the clock on the wall says nothing about us.
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "lunaroute", "--help"], check=True, capture_output=True, timeout=30)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)

    assert min(cpu_s() for _ in range(5)) < MAX_HELP_CPU_S


def test_supervisor_stays_small() -> None:
    loaded = _loaded_by("import lunaroute.cli.serve, lunaroute.config_file, lunaroute.supervisor.server")
    assert loaded & (SERVER_PACKAGES - {"msgspec"}) == set()


def test_relay_loads_nothing_of_what_comes_after_it() -> None:
    loaded = _loaded_by("import lunaroute.relay.__main__")
    later = {"assemble", "dialects", "sessions", "stats", "pricing", "events", "sinks", "recorder", "query", "cli"}
    assert {name for name in loaded if name.startswith("lunaroute.") and name.split(".")[1] in later} == set()
    assert loaded & {"rich", "click", "genai_prices", "sqlite3", "pydantic"} == set()


def _commands() -> Iterator[tuple[str, click.Command]]:
    def walk(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
        yield path, command
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                child = command.get_command(context, name)
                assert child is not None, f"{path} {name}"
                yield from walk(f"{path} {name}", child)

    yield from walk("lunaroute", cli)


_COMMANDS = dict(_commands())


@pytest.mark.parametrize("path", _COMMANDS)
def test_every_command_and_every_option_has_help(path: str) -> None:
    command = _COMMANDS[path]
    assert command.help, path
    silent = [option.opts for option in command.params if isinstance(option, click.Option) and not option.help]
    assert silent == []


@pytest.mark.parametrize("path", _COMMANDS)
def test_every_command_is_known_by_the_name_it_is_listed_with(path: str) -> None:
    assert path == "lunaroute" or _COMMANDS[path].name == path.rpartition(" ")[2]


def test_fixed_names_are_there() -> None:
    names = {path.split()[1] for path in _COMMANDS if " " in path}
    read = {"sessions", "search", "stats", "tools", "models", "cost", "latency", "tail", "sql", "reindex"}
    assert names >= read | {"serve", "env", "run", "stop", "status", "demo"}


def test_overview_fits_a_terminal() -> None:
    environ = {**os.environ, "COLUMNS": "80"}
    shown = subprocess.run(
        [sys.executable, "-m", "lunaroute", "--help"],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout
    assert max(map(len, shown.splitlines())) <= 80
    assert "…" not in shown.partition("Commands:")[2]


def test_every_module_can_be_imported() -> None:
    names = [module.name for module in modules() if not module.name.endswith("__main__")]
    script = "import importlib, sys\nfor name in sys.argv[1:]:\n  importlib.import_module(name)"
    done = subprocess.run(
        [sys.executable, "-c", script, *names], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
