"""chDB behind as much of ClickHouse's HTTP as we use. In: a folder. Out: its port, as the first line of stdout."""

from __future__ import annotations

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

_NOT_KEPT = {"readonly", "max_execution_time", "max_result_rows", "result_overflow_mode"}
"""Settings of one statement; here they would be those of all that follow."""


class _Engine:
    def __init__(self, folder: str) -> None:
        from chdb import session

        self._session: Any = session.Session(folder)
        self._lock = threading.Lock()

    def answer(self, statement: str, asked: dict[str, str]) -> bytes:
        """Raises RuntimeError with the engine's message."""
        with self._lock:
            self._session.query(f"USE {asked.pop('database', 'default')}")
            for name, value in asked.items():
                if name not in _NOT_KEPT:
                    self._session.query(f"SET {name} = '{value}'")
            result = self._session.query(statement)
            return b"" if result is None else bytes(result.bytes())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes: the second would wait 40 ms
    engine: _Engine

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        asked = {name: values[-1] for name, values in parse_qs(urlsplit(self.path).query).items()}
        try:
            status, answer = 200, self.engine.answer(body.decode(), asked)
        except Exception as error:
            status, answer = 500, str(error).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    _Handler.engine = _Engine(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()
