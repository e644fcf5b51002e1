"""Requests at a fixed rate, some to a session, until told to stop."""

from __future__ import annotations

import http.client
import json
import threading
import time
from typing import Final
from urllib.parse import urlsplit

_WORKERS: Final = 4
_REQUESTS_OF_A_SESSION: Final = 10
_MODEL: Final = "claude-haiku-4-5"
_TIMEOUT_S: Final = 60.0


class Load:
    """`with Load(url, 50.0) as load`: 50 requests a second. A request that is late is sent at once."""

    def __init__(self, base_url: str, rate_per_s: float) -> None:
        self._address = urlsplit(base_url)
        self._rate_per_s = rate_per_s
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._taken = 0
        self.answered = 0
        """Requests whose whole answer came."""
        self.failed: list[str] = []
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(_WORKERS)]

    def __enter__(self) -> Load:
        self._began_s = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        connection = http.client.HTTPConnection(self._address.netloc, timeout=_TIMEOUT_S)
        while not self._stop.is_set():
            with self._lock:
                number, self._taken = self._taken, self._taken + 1
            if self._stop.wait(max(0.0, self._began_s + number / self._rate_per_s - time.monotonic())):
                break
            try:
                self._ask(connection, number)
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(f"{type(error).__name__}: {error}")
                connection.close()
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection, number: int) -> None:
        session = number // _REQUESTS_OF_A_SESSION
        message = {"role": "user", "content": f"question {number}: what do you think of it?"}
        body = {"model": _MODEL, "max_tokens": 50, "messages": [message]}
        headers = {"content-type": "application/json", "anthropic-version": "2023-06-01", "x-api-key": "k"}
        connection.request("POST", f"/s/load-{session}/v1/messages", json.dumps(body), headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise http.client.HTTPException(f"status {answer.status}")
        with self._lock:
            self.answered += 1
