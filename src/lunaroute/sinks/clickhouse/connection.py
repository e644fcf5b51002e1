"""ClickHouse's HTTP interface, with the standard library: a POST, and the answer or one line of what was wrong.

In: a URL, `clickhouse://user:password@host:8123/database`, or `clickhouses://` for TLS; of a cluster, several addresses
with commas between them, of which the next is taken when one does not answer. A statement may be sent twice: where a
connection breaks off, nobody knows whether it had arrived. All that is written here may be written again.
"""

from __future__ import annotations

import http.client
import re
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Final
from urllib.parse import unquote, urlencode, urlsplit

from lunaroute.errors import StoreUnavailable

_CONNECT_S: Final = 10.0
_TIMEOUT_S: Final = 120.0
_PORT: Final = 8123
_TLS_PORT: Final = 8443
_PREFIX: Final = re.compile(r"Code: (\d+)\W*(?:e\.displayText\(\) = )?(?:DB::Exception: )*")
_SUFFIX: Final = re.compile(r",? ?(?:e\.what\(\) = DB::Exception|\(version .*\))\s*$", re.DOTALL)


class Unanswered(StoreUnavailable):
    """No answer came, or not all of it."""


class Refused(StoreUnavailable):
    """The server has answered that it will not."""

    def __init__(self, line: str, code: int) -> None:
        super().__init__(line)
        self.code = code
        """ClickHouse's number of the error; 0 where it gave none."""


class ClickHouse:
    """One server, or whichever of several answers. One thread at a time."""

    def __init__(self, url: str, timeout_s: float = _TIMEOUT_S) -> None:
        """Connects with the first statement."""
        self._timeout_s = timeout_s
        parts = urlsplit(url)
        self.is_tls = parts.scheme == "clickhouses"
        self._addresses = deque(self._address(one) for one in parts.netloc.rpartition("@")[2].split(","))
        self.database = parts.path.strip("/") or "default"
        self._headers = {"connection": "keep-alive"}
        if parts.username:
            self._headers["x-clickhouse-user"] = unquote(parts.username)
            self._headers["x-clickhouse-key"] = unquote(parts.password or "")
        self._http: http.client.HTTPConnection | None = None

    def run(self, statement: bytes, settings: Mapping[str, str | int] | None = None) -> bytes:
        """What the server answers. Raises StoreUnavailable; Refused where it did answer."""
        target = f"/?{urlencode({'database': self.database, **(settings or {})})}"
        for _ in range(len(self._addresses) - 1):
            with suppress(Unanswered):
                return self._run_here(target, statement)
            self.go_on()
        return self._run_here(target, statement)

    def go_on(self) -> None:
        """Ask at the next address from now on."""
        self.close()
        self._addresses.rotate(-1)

    def _run_here(self, target: str, statement: bytes) -> bytes:
        is_kept = self._http is not None
        try:
            try:
                return self._send(target, statement)
            except (http.client.HTTPException, ConnectionError):
                self.close()
                if not is_kept:
                    raise
            return self._send(target, statement)
        except (http.client.HTTPException, OSError) as error:
            self.close()
            text = " ".join(str(error).split()) or type(error).__name__
            raise Unanswered(f"{self.name}: {text}") from error

    def close(self) -> None:
        kept, self._http = self._http, None
        if kept is not None:
            kept.close()

    def _send(self, target: str, statement: bytes) -> bytes:
        if self._http is None:
            kind = http.client.HTTPSConnection if self.is_tls else http.client.HTTPConnection
            self._http = kind(*self._addresses[0], timeout=min(_CONNECT_S, self._timeout_s))
            self._http.connect()
            self._http.sock.settimeout(self._timeout_s)
        self._http.request("POST", target, statement, self._headers)
        response = self._http.getresponse()
        answer = response.read()
        if response.status == 200:
            return answer
        raise self._refused(answer)

    def _refused(self, answer: bytes) -> Refused:
        text = " ".join(answer.decode(errors="replace").split())
        found = _PREFIX.match(text)
        line = _SUFFIX.sub("", _PREFIX.sub("", text, count=1))
        return Refused(f"{self.name}: {line[:500]}", int(found[1]) if found else 0)

    @property
    def name(self) -> str:
        """For messages, without the password."""
        host, port = self._addresses[0]
        return f"clickhouse://{host}:{port}/{self.database}"

    def _address(self, text: str) -> tuple[str, int]:
        parts = urlsplit(f"//{text}")
        return parts.hostname or "127.0.0.1", parts.port or (_TLS_PORT if self.is_tls else _PORT)
