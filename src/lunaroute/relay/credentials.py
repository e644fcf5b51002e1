"""[pure] Fingerprints of credentials, so that none ever reaches the disk.

A fingerprint is the first 16 hex digits of HMAC-SHA-256 over the value, keyed with a salt that never leaves this
home: the same key is recognisable within one home and says nothing outside it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from urllib.parse import unquote_to_bytes

_SCHEME = re.compile(rb"^(bearer|basic|token|apikey)\s+", re.IGNORECASE)
_QUERY_CREDENTIAL = re.compile(
    r"(?P<name>(?:^|[?&;])(?:[^=&;]*[-_.])?(?:key|apikey|token|accesstoken|authtoken|secret|password|sig|signature|credential|code|auth)=)"
    r"(?P<value>[^&;#]*)",
    re.IGNORECASE,
)


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
        if "?" not in target:
            return target
        return _QUERY_CREDENTIAL.sub(lambda match: match["name"] + self(unquote_to_bytes(match["value"])), target)
