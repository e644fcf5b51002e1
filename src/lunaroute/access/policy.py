"""Whether a request may pass, by its headers alone.

Against web pages: a page from elsewhere can make a browser on this machine send requests here. By the rules of the
Fetch standard such a request says where it comes from (`Origin`, `Sec-Fetch-Site`), and one whose name was made to
point here (DNS rebinding) says that name in `Host`. Against other machines: beyond loopback, a token.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator, Mapping
from enum import Enum
from ipaddress import ip_address

import msgspec

COOKIE = "lunaroute_token"
EVERYBODY = "*"
"""Whose recordings the token of a home shows; no name of a tenant."""
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_READING = frozenset({"GET", "HEAD"})
_OURS = frozenset({"same-origin", "none"})
"""What `Sec-Fetch-Site` says of our own pages, and of what a person typed or opened from a bookmark."""


class Verdict(Enum):
    """What is to be done with a request; the value is the HTTP status."""

    PASS = 200
    MISDIRECTED = 421
    """Its Host is not a name of this server."""
    FOREIGN = 403
    """A page from elsewhere sent it."""
    UNKNOWN = 401
    """It brings no token, or a wrong one."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What of a request matters."""

    method: str
    """`GET` for a WebSocket's handshake."""
    scheme: str
    hosts: list[str]
    """Every Host field."""
    origin: str | None = None
    fetch_site: str | None = None
    fetch_mode: str | None = None
    authorization: str | None = None
    cookie: str | None = None
    is_websocket: bool = False


class AccessPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Who may read."""

    names: frozenset[str] = _LOOPBACK_NAMES
    """Host names, lower case, under which this server may be addressed."""
    takes_addresses: bool = False
    """Also any IP address: no name can be made to point here then, and a token is asked for."""
    token: str | None = None
    """None: whoever reaches it may read (loopback only)."""
    salt: bytes = b""
    """What tokens of tenants are made with; empty = there are none."""
    revocations: Mapping[str, int] = {}
    """How often the token of a tenant was taken back."""
    revoked: frozenset[str] = frozenset()
    """The tokens of tenants that were."""

    @classmethod
    def of(cls, *, host: str, salt: bytes, revocations: Mapping[str, int] | None = None) -> AccessPolicy:
        """For a server of a home with this salt that listens on `host`; `revocations` says how often the token of a
        tenant, or of EVERYBODY, was taken back."""
        counts = revocations or {}
        open_to = None if is_loopback(host) else access_token(salt, counts.get(EVERYBODY, 0))
        return cls(
            names=_LOOPBACK_NAMES | {host.lower()},
            takes_addresses=open_to is not None,
            token=open_to,
            salt=salt,
            revocations=counts,
            revoked=frozenset(_revoked(salt, counts)),
        )

    def judge(self, asked: Asked) -> Verdict:
        if len(asked.hosts) != 1 or not self._is_ours(host_name(asked.hosts[0])):
            return Verdict.MISDIRECTED
        if self._is_foreign(asked):
            return Verdict.FOREIGN
        brought = _brought(asked)
        # A tenant's token that was taken back opens nothing on loopback either, where without one all is shown.
        if self.token is None and self.revoked.isdisjoint(brought):
            return Verdict.PASS
        return Verdict.PASS if any(self.is_token(one) for one in brought) else Verdict.UNKNOWN

    def tenant_of(self, asked: Asked) -> str | None:
        """Whose recordings it may read, once it has passed; None = everybody's. What it brings first counts."""
        token = next((one for one in _brought(asked) if self.is_token(one)), "")
        return self._tenant_of_token(token)

    def is_token(self, text: str) -> bool:
        """Whether it is the token, or that of a tenant; takes the same time whatever it is."""
        is_ours = self.token is not None and hmac.compare_digest(text.encode(), self.token.encode())
        return is_ours or self._tenant_of_token(text) is not None

    def _tenant_of_token(self, text: str) -> str | None:
        tenant = text.rpartition(".")[0]
        if not tenant or not self.salt:
            return None
        its = tenant_token(self.salt, tenant, self.revocations.get(tenant, 0))
        is_its = hmac.compare_digest(text.encode(), its.encode())
        return tenant if is_its else None

    def _is_ours(self, name: str | None) -> bool:
        if name is None:
            return False
        return name in self.names or (self.takes_addresses and _is_address(name))

    def _is_foreign(self, asked: Asked) -> bool:
        if asked.origin is not None and asked.origin != f"{asked.scheme}://{asked.hosts[0]}".lower():
            return True
        is_opened = asked.fetch_mode == "navigate" and asked.method in _READING and not asked.is_websocket
        return asked.fetch_site is not None and asked.fetch_site not in _OURS and not is_opened


def _brought(asked: Asked) -> list[str]:
    """What may be tokens: the `Authorization` field's, then those of cookies."""
    scheme, _, credential = (asked.authorization or "").partition(" ")
    pairs = [pair.strip().partition("=") for pair in (asked.cookie or "").split(";")]
    found = [credential.strip()] if scheme.lower() == "bearer" else []
    return found + [value for name, _, value in pairs if name == COOKIE]


def access_token(salt: bytes, revocations: int = 0) -> str:
    """The token of a home: made of its salt, so nothing more has to be kept secret. Another one after each time that
    it was taken back."""
    return _digest(salt, b"lunaroute access token", revocations)


def tenant_token(salt: bytes, tenant: str, revocations: int = 0) -> str:
    """The token of one tenant, which stands in it: `NAME.…`."""
    return f"{tenant}.{_digest(salt, b'lunaroute access token of tenant ' + tenant.encode(), revocations)}"


def _revoked(salt: bytes, revocations: Mapping[str, int]) -> Iterator[str]:
    for name, count in revocations.items():
        for number in range(count):
            if name != EVERYBODY:
                yield tenant_token(salt, name, number)


def _digest(salt: bytes, purpose: bytes, revocations: int) -> str:
    purpose += b"\0%d" % revocations if revocations else b""
    return base64.urlsafe_b64encode(hmac.new(salt, purpose, hashlib.sha256).digest()).decode().rstrip("=")


def is_loopback(host: str) -> bool:
    """Whether who listens there is reached from this machine only."""
    return host.lower() == "localhost" or (_is_address(host) and ip_address(host).is_loopback)


def host_name(host: str) -> str | None:
    """The name or address in a Host field, lower case; None where it is malformed."""
    name, port = host.strip().lower(), ""
    if name.startswith("["):
        name, bracket, port = name[1:].partition("]")
        if not bracket or not _is_address(name):
            return None
    elif ":" in name:
        name, colon, port = name.partition(":")
        port = colon + port
    is_port = not port or (port[0] == ":" and port[1:].isdigit())
    return name.rstrip(".") or None if is_port else None


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
