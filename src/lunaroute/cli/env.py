"""`lunaroute env` and `lunaroute run`: clients pointed at a server that is started when none runs.

Standard output has nothing but settings for a shell; everything for a person goes to stderr. No key is asked for
and none is printed: clients go on sending their own.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import PurePath

import click

_KEY_VARIABLE = "LUNAROUTE_ENCRYPTION_KEY"
HOME_OPTION = click.option("--home", metavar="DIR", help="The server's home.  [default: ~/.lunaroute]")
CONFIG_OPTION = click.option("--config", metavar="FILE", help="Settings file.  [default: config.toml in the home]")


@click.command("env")
@click.option(
    "--shell",
    type=click.Choice(["sh", "fish", "powershell"]),
    default="sh",
    show_default=True,
    help="Whose syntax to write.",
)
@HOME_OPTION
@CONFIG_OPTION
def env_command(shell: str, home: str | None, config: str | None) -> None:
    """Print settings that point clients at the server.

    Starts a server in the background when none runs. Use it as: eval "$(lunaroute env)"
    """
    variables = client_variables(_server_url(home, config))
    for line in (*_assignments(variables, shell), *_codex_comment(variables["OPENAI_BASE_URL"])):
        click.echo(line)


@click.command("run", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@HOME_OPTION
@CONFIG_OPTION
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run_command(home: str | None, config: str | None, command: tuple[str, ...]) -> None:
    """Run one COMMAND with its LLM traffic recorded: lunaroute run -- claude

    Starts a server in the background when none runs; it stays when COMMAND ends. Codex reads no variable, so it gets
    its setting on its command line.
    """
    variables = client_variables(_server_url(home, config))
    command = pointed(command, variables)
    # A key for recordings is none of a client's business, nor of the tools that it runs.
    inherited = {name: value for name, value in os.environ.items() if name != _KEY_VARIABLE}
    try:
        # In our place: signals, terminal and exit code are the command's own.
        os.execvpe(command[0], command, {**inherited, **variables})
    except FileNotFoundError:
        raise click.exceptions.Exit(_cannot_run(command[0], "there is no such command", 127)) from None
    except OSError as error:
        raise click.exceptions.Exit(_cannot_run(command[0], error.strerror, 126)) from None


def client_variables(url: str) -> dict[str, str]:
    """The variables that clients and SDKs read, for a relay at `url` (`http://host:port`)."""
    return {
        "ANTHROPIC_BASE_URL": url,
        "OPENAI_BASE_URL": f"{url}/v1",
        "OPENAI_API_BASE": f"{url}/v1",
        "GOOGLE_GEMINI_BASE_URL": url,
    }


def pointed(command: tuple[str, ...], variables: Mapping[str, str]) -> tuple[str, ...]:
    """The command with what a client needs on its command line. The user's own options come after it, and win."""
    if PurePath(command[0]).stem == "codex":
        return (command[0], *_codex_option(variables["OPENAI_BASE_URL"]), *command[1:])
    return command


def _codex_option(openai_url: str) -> tuple[str, str]:
    return "-c", f"openai_base_url={openai_url}"


def _server_url(home: str | None, config_file: str | None) -> str:
    from lunaroute.config_file import load_config
    from lunaroute.supervisor.background import ensure_running, serve_command
    from lunaroute.supervisor.health import base_url

    config = load_config({"home": home, "config": config_file}, os.environ)
    info = ensure_running(config, serve_command(config.home, config_file), _tell)
    return base_url(info.host, info.port)


def _assignments(variables: Mapping[str, str], shell: str) -> list[str]:
    if shell == "fish":
        return [f"set -gx {name} {shlex.quote(value)};" for name, value in variables.items()]
    if shell == "powershell":
        return [f"$env:{name} = '{value}'" for name, value in variables.items()]
    return [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]


def _codex_comment(openai_url: str) -> list[str]:
    """Codex reads no variable. Comments come last: an unquoted `eval $(…)` makes one line of everything."""
    return [
        f"# Codex: codex {' '.join(_codex_option(openai_url))}",
        f'# or, in ~/.codex/config.toml: openai_base_url = "{openai_url}"',
    ]


def _cannot_run(name: str, why: str | None, code: int) -> int:
    _tell(f"{name}: {why}")
    return code


def _tell(line: str) -> None:
    click.echo(line if line.startswith("lunaroute:") else f"lunaroute: {line}", err=True)
