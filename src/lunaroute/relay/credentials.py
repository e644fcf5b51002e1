"""[pure] Fingerprints of credentials, so that none ever reaches the disk.

A fingerprint is the first 16 hex digits of HMAC-SHA-256 over the value, keyed with a salt that never leaves this
home: the same key is recognisable within one home and says nothing outside it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from urllib.parse import unquote, unquote_to_bytes

_SCHEME = re.compile(rb"^(bearer|basic|token|apikey)\s+", re.IGNORECASE)
_MEMBER = re.compile(r"(?:^|[?&;#])(?P<name>[^=&;#?]*)=")
_VALUE = re.compile(r"[^&;#]*")
_CREDENTIAL_NAME = re.compile(
    r"(?:^|.*[-_.\[])(?:key|keyid|apikey|token|accesstoken|authtoken|idtoken|refreshtoken|secret|clientsecret|"
    r"password|passwd|pwd|passphrase|sig|signature|credentials?|code|auth|authorization|jwt|assertion|ticket|cookie)\]?",
    re.IGNORECASE | re.DOTALL,
)
_USERINFO = re.compile(r"(://)([^/?#@\s]+)@")
_MOST_DECODINGS = 3
"""A name may be percent-encoded more than once where it stands in a URL within a URL."""


class Fingerprinter:
    """Fingerprints with one home's salt."""

    def __init__(self, salt: bytes) -> None:
        self._salt = salt

    def __call__(self, value: bytes) -> str:
        """Of a header value; an auth scheme in front (`Bearer`) does not count."""
        secret = _SCHEME.sub(b"", value, count=1)
        return "fp_" + hmac.new(self._salt, secret, hashlib.sha256).hexdigest()[:16]

    def clean_target(self, target: str) -> str:
        """The request target with the values of credential parameters (`?key=…`) replaced."""
        start = target.find("?")
        return target if start < 0 else target[:start] + self.clean_members(target[start:])

    def clean_members(self, text: str) -> str:
        """`name=value` pairs, such as a query, with the values replaced whose name says that they are credentials,
        whatever of the name is percent-encoded."""
        shown: list[str] = []
        done = 0
        for match in _MEMBER.finditer(text):
            if match.start() < done or _CREDENTIAL_NAME.fullmatch(_decoded(match["name"])) is None:
                continue  # within a value that is replaced, or a value that may be a URL with a query of its own
            start = match.end()
            end = _VALUE.match(text, start).end()  # type: ignore[union-attr]  # it may be empty, so it always matches
            if end > start:
                shown += (text[done:start], self(unquote_to_bytes(text[start:end])))
                done = end
        return "".join((*shown, text[done:])) if shown else text

    def clean_url(self, value: bytes) -> bytes:
        """A header value that is a URL, or holds one: its password and its credential parameters replaced."""
        text = value.decode("latin-1")
        text = _USERINFO.sub(lambda match: match[1] + self(match[2].encode("latin-1")) + "@", text)
        return self.clean_members(text).encode("latin-1")


def _decoded(name: str) -> str:
    for _ in range(_MOST_DECODINGS):
        if "%" not in name:
            break
        name = unquote(name)
    return name.strip()
