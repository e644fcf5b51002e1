"""What one `lunaroute serve` is there for, and the processes that this means.

`relay` and `recorder` of one home may be servers of their own on one machine: what joins them is the spool, on the
local disk. `web` shows what is recorded. `all` is the three in one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from lunaroute.config import Config, Role
from lunaroute.errors import ConfigError

from .instance import LOCK_FILE, RECORDER_LOCK_FILE, WEB_LOCK_FILE, find_holder

_OF_THE_RELAY = ("host", "port", "workers", "upstream")


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """What a server consists of."""

    relay: bool
    recorder: bool
    """With the housekeeper, who does what is to be done with what is recorded."""
    web: bool

    @property
    def lock_files(self) -> list[str]:
        """Of which a home has one holder each. Dashboards may be several: only one that is a server of its own, and
        so is found by `stop`, is locked."""
        locks = {LOCK_FILE: self.relay, RECORDER_LOCK_FILE: self.recorder, WEB_LOCK_FILE: self.web and not self.relay}
        return [name for name, is_held in locks.items() if is_held]


def holders(run_dir: Path) -> dict[str, int | None]:
    """The pids of the supervisors of a home's relay, recorder and dashboard of its own, in the order in which they are
    to be stopped; `all` is one for the first two."""
    locks = {"relay": LOCK_FILE, "recorder": RECORDER_LOCK_FILE, "web": WEB_LOCK_FILE}
    return {part: find_holder(run_dir, name) for part, name in locks.items()}


def parts_of(role: Role) -> Parts:
    return Parts(relay=role in ("all", "relay"), recorder=role in ("all", "recorder"), web=role in ("all", "web"))


def refuse_senseless(config: Config, flags: Mapping[str, Any]) -> None:
    """Flags that the role has no use for would be forgotten without a word. Raises ConfigError."""
    role = config.server.role
    parts = parts_of(role)
    useless = [] if parts.relay else [name for name in _OF_THE_RELAY if flags.get(name) not in (None, ())]
    useless += [] if parts.web or flags.get("ui_port") is None else ["ui_port"]
    if useless:
        flag = "--" + useless[0].replace("_", "-")
        whose = "relay" if useless[0] in _OF_THE_RELAY else "dashboard"
        raise ConfigError(f"{flag} is for the {whose}, and --role {role} has none")
    if role == "web" and not config.dashboard.enabled:
        raise ConfigError("--role web is nothing but the dashboard, and [dashboard] enabled is false")
