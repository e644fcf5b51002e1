"""[pure] Whose a request is: the first rule that knows, by what its head says.

`credential` looks the fingerprint up, `header:NAME` takes the header's value, `tag:PREFIX` what follows PREFIX in a
tag of the path (`/s/<tag>/…`), which then is no session tag. Only a credential is checked by anybody, the provider; the
other two are for clients, or a gateway before us, whose word is taken.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from lunaroute.config import TenantsConfig
from lunaroute.errors import ConfigError

from .headers import Line

_NAME = re.compile(r"[\w.@:+-]{1,64}", re.ASCII)
"""What can be a tenant; anything else names none."""


class TenantRules:
    """The rules of a configuration. Raises ConfigError for one that is none."""

    def __init__(self, config: TenantsConfig) -> None:
        self._credentials = config.credentials
        self._rules = [_parsed(rule) for rule in config.rules]
        for tenant in (*config.credentials.values(), *(name for name in config.limits if name != "*")):
            if not is_tenant(tenant):
                raise ConfigError(
                    f"{tenant!r} is no name of a tenant; use letters, digits and . _ @ : + - (at most 64)"
                )

    def find(self, lines: Sequence[Line], tags: Sequence[str], credential: str | None) -> tuple[str | None, list[str]]:
        """The tenant, None where no rule knows one, and the tags that are the session's."""
        tenant: str | None = None
        rest = list(tags)
        for kind, argument in self._rules:
            found: str | None = None
            if kind == "credential":
                found = self._credentials.get(credential or "")
            elif kind == "header":
                found = next((line.value.decode("latin-1").strip() for line in lines if line.name == argument), None)
            else:
                prefix = argument.decode()
                tag = next((tag for tag in rest if tag.startswith(prefix)), None)
                if tag is not None:
                    rest.remove(tag)
                    found = tag[len(prefix) :]
            if tenant is None and found is not None and is_tenant(found):
                tenant = found
        return tenant, rest


def is_tenant(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def _parsed(rule: str) -> tuple[str, bytes]:
    kind, _, argument = rule.partition(":")
    is_right = not argument if kind == "credential" else kind in ("header", "tag") and argument != ""
    if not is_right:
        raise ConfigError(f"{rule!r} is no rule; write credential, header:NAME or tag:PREFIX")
    return kind, argument.lower().encode() if kind == "header" else argument.encode()
