"""The `lunaroute` command: a group whose commands are imported when they are called.

In: the command line. Out: an exit code: 0 done, 1 failed, 2 wrong usage or settings, 130 interrupted. Every
failure is one line on stderr; nobody sees a traceback.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence

import click

from lunaroute import __version__
from lunaroute.errors import ConfigError, FilterError, LunarouteError, SqlRefused

# Name → where the command is, and its line in the overview. The overview must not import what it lists.
_COMMANDS = {
    "serve": ("lunaroute.cli.serve:serve_command", "Relay and record LLM traffic until Ctrl-C."),
    "env": ("lunaroute.cli.env:env_command", 'Print settings for clients: eval "$(lunaroute env)".'),
    "run": ("lunaroute.cli.env:run_command", "Run one command with its LLM traffic recorded."),
    "stop": ("lunaroute.cli.control:stop_command", "Stop the server."),
    "dashboard": ("lunaroute.cli.dashboard:dashboard_command", "Look at recordings in a browser."),
    "token": ("lunaroute.cli.token:token_command", "Print the token for reading over HTTP."),
    "status": ("lunaroute.cli.control:status_command", "Show whether the server runs and records."),
    "demo": ("lunaroute.cli.demo:demo_command", "See it at work, without keys or network."),
    "sessions": ("lunaroute.cli.sessions:sessions_group", "List and read recorded sessions."),
    "search": ("lunaroute.cli.search:search_command", "Find what was said, by anybody."),
    "stats": ("lunaroute.cli.sums:stats_command", "Requests, tokens, cost and time."),
    "tools": ("lunaroute.cli.sums:tools_command", "Calls, failures and times of tools."),
    "models": ("lunaroute.cli.sums:models_command", "Models and what they were used for."),
    "cost": ("lunaroute.cli.sums:cost_command", "Cost by day and model."),
    "latency": ("lunaroute.cli.sums:latency_command", "Percentiles of latency and first token."),
    "alerts": ("lunaroute.cli.alerts:alerts_group", "Show and lift alerts and budgets."),
    "tail": ("lunaroute.cli.tail:tail_command", "Show the newest events; -f follows them."),
    "top": ("lunaroute.cli.top:top_command", "See what is going on right now, in the terminal."),
    "sql": ("lunaroute.cli.sql:sql_command", "Ask the index in SQL, read-only."),
    "import": ("lunaroute.cli.importing:import_group", "Bring in sessions recorded elsewhere."),
    "compress": ("lunaroute.cli.compress:compress_command", "Compress sessions that are over."),
    "archive": ("lunaroute.cli.archive:archive_group", "Keep sessions in an object store too."),
    "prune": ("lunaroute.cli.prune:prune_command", "Delete what is due by the settings."),
    "reprice": ("lunaroute.cli.reprice:reprice_command", "Compute the costs of finished sessions again."),
    "retry": ("lunaroute.cli.retry:retry_command", "Read again what could not be read at first."),
    "verify": ("lunaroute.cli.verify:verify_command", "Check every file and the index."),
    "reindex": ("lunaroute.cli.reindex:reindex_command", "Rebuild the index from the session files."),
}


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports one when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module_name, _, attribute = _COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module_name), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in _COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="lunaroute", message="%(prog)s %(version)s")
def cli() -> None:
    """Record what LLM clients and providers say to each other, without changing or delaying it."""


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point; ends the process."""
    code = _run(list(sys.argv[1:] if arguments is None else arguments))
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # What reads our output has enough; the interpreter's own flush at exit must not complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    try:
        result = cli.main(arguments, prog_name="lunaroute", standalone_mode=False)
    except click.exceptions.Abort:
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except LunarouteError as error:
        return _fail(str(error), 2 if isinstance(error, ConfigError | FilterError | SqlRefused) else 1)
    except OSError as error:
        about = f"{error.filename}: " if error.filename else ""
        return _fail(f"{about}{error.strerror or error}", 1)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    except Exception as error:  # a defect of ours; still one line, with enough to report it
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{os.path.basename(frame.filename)}:{frame.lineno}"
        return _fail(f"unexpected {type(error).__name__} at {place}: {error}", 1)
    return result if isinstance(result, int) else 0


def _fail(line: str, code: int) -> int:
    click.echo(f"lunaroute: {line}", err=True)
    return code
