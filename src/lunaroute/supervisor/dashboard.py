"""Who gets into the dashboard, and the address that is printed for a browser.

Traffic comes first: a dashboard that cannot listen is a line in the log, never a server that does not start.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from lunaroute.access.policy import AccessPolicy
from lunaroute.config import Config
from lunaroute.relay.salt import load_salt

from .health import base_url
from .revocations import read_revocations, version_of

_LOOK_S = 1.0


def access_policy(config: Config) -> AccessPolicy:
    """Whom the dashboard lets in, by where it listens and what was taken back. Raises OSError."""
    revocations = read_revocations(config.home)
    return AccessPolicy.of(host=config.dashboard.host, salt=load_salt(config.home), revocations=revocations)


class CurrentPolicy:
    """The policy of a home, which looks every second whether a token was taken back; the same object until then."""

    def __init__(self, config: Config, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Raises OSError."""
        self._config = config
        self._monotonic = monotonic
        self._version = version_of(config.home)  # before it is read: what comes in between is looked at again
        self._policy = access_policy(config)
        self._look_at = monotonic() + _LOOK_S

    def __call__(self) -> AccessPolicy:
        if self._monotonic() >= self._look_at:
            self._look_at = self._monotonic() + _LOOK_S
            try:
                self._look()
            except OSError as error:
                print(f"lunaroute: tokens that were taken back: {error}; what was known holds", file=sys.stderr)
        return self._policy

    def _look(self) -> None:
        version = version_of(self._config.home)
        if version != self._version:
            self._policy = access_policy(self._config)
            self._version = version


def dashboard_url(config: Config, port: int) -> str:
    """The address for a browser, with the token where one is needed. Raises OSError."""
    token = access_policy(config).token
    return base_url(config.dashboard.host, port) + (f"/?token={token}" if token else "/")
