"""`lunaroute decrypt`: encrypted files as they were."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from lunaroute.encryption.blocks import open_stored
from lunaroute.sinks.session_file import read_lines
from lunaroute.sinks.zstd import DAMAGE

from .asking import Failed, WrongInput, home_option, one_line_errors

_CHUNK_BYTES = 1 << 20


@click.command("decrypt")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--to", "folder", metavar="DIR", type=click.Path(path_type=Path), help="Write files of the same names.")
@home_option
def decrypt_command(*, files: tuple[Path, ...], folder: Path | None, home: Path) -> None:
    """Print encrypted recordings as they were.

    FILE is a session's file, of sessions/ or of an archive, or a dead letter; its lines go to standard output, or, with
    --to, the file as it was, compressed if it is. The key comes from where the server has it. What is not encrypted is
    given as it is.
    """
    del home  # its settings may name the key
    with one_line_errors():
        for path in files:
            try:
                if folder is None:
                    _print(path)
                else:
                    _write(path, folder)
            except DAMAGE as error:
                raise Failed(f"{path}: damaged: {error}") from error


def _print(path: Path) -> None:
    for line in read_lines(path, is_tail_wanted=True):
        sys.stdout.buffer.write(line.rstrip(b"\n") + b"\n")


def _write(path: Path, folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = folder / path.name
    if target.exists():
        raise WrongInput(f"{target} is there already")
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            for part in _plain(path):
                file.write(part)
    except BaseException:
        target.unlink()
        raise


def _plain(path: Path) -> Iterator[bytes]:
    if path.suffix == ".zst":
        with open_stored(path) as stored:
            while part := stored.read(_CHUNK_BYTES):
                yield part
    else:
        for line in read_lines(path, is_tail_wanted=True):
            yield line.rstrip(b"\n") + b"\n"
