"""What the supervisor tells a child process: one JSON document in the environment variable LUNAROUTE_WORKER; and how
every child begins.

In: the frozen settings and the child's own numbers. Out: the same value in the child. Nothing is read twice:
a child never looks at config.toml or at other LUNAROUTE_ variables.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from lunaroute.config import Config
from lunaroute.encryption.keys import look_for_keys
from lunaroute.errors import LunarouteError, StartError

WORKER_VARIABLE = "LUNAROUTE_WORKER"


class WorkerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One child's settings."""

    config: Config
    worker: int
    """Number of the relay worker, from 0; -1 for the recorder, the dashboard and the housekeeper."""
    listen_fd: int
    """An inherited listening socket; -1 for the recorder and the housekeeper."""
    run_id: str
    """The `lunaroute serve` this child belongs to."""
    alive_fd: int
    """Read end of a pipe whose write end only the supervisor holds: its end of file means that the child is to stop in
    order, because the supervisor is gone or, to the recorder, because all relays have stopped. -1 = nobody
    supervises."""

    def to_env(self) -> dict[str, str]:
        """The variable to add to the child's environment."""
        return {WORKER_VARIABLE: msgspec.json.encode(self, enc_hook=_encode_path).decode()}

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> WorkerSpec:
        """The spec this process was started with. Raises StartError when it was not started by a supervisor."""
        text = environ.get(WORKER_VARIABLE)
        if text is None:
            raise StartError("this process is started by `lunaroute serve`, not by hand")
        try:
            return msgspec.json.decode(text, type=cls, dec_hook=_decode_path)
        except msgspec.DecodeError as error:
            raise StartError(f"{WORKER_VARIABLE}: {error}") from None


def run_child(name: str, run: Callable[[WorkerSpec], None]) -> None:
    """A child's whole life: what it was told, the keys, then `run`. What goes wrong is one line that begins with the
    child's name, and exit code 1."""
    try:
        spec = WorkerSpec.from_env()
        look_for_keys(lambda: spec.config.encryption.key_file)
        run(spec)
    except (LunarouteError, OSError) as error:
        sys.exit(f"lunaroute: {name}: {error}")


def _encode_path(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(f"no JSON form of {type(value).__name__}")


def _decode_path(wanted: type, value: object) -> object:
    if issubclass(wanted, Path) and isinstance(value, str):
        return Path(value)
    raise NotImplementedError(f"no {wanted.__name__} from JSON")
