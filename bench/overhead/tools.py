"""Provider and client, compiled; bodies to send; a certificate. Everything in one folder."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.recorder_throughput import request_body

from .processes import running, wait_for
from .work import Work

SOURCES = Path(__file__).parent
NEEDED = {"cc": "gcc", "nginx": "nginx-light", "openssl": "openssl"}
"""Program → the Debian package that has it."""
Figures = dict[str, float]


def missing() -> list[str]:
    """What has to be installed first."""
    return [package for program, package in NEEDED.items() if shutil.which(program) is None]


def compile_tools(folder: Path) -> None:
    for name in ("provider", "client"):
        subprocess.run(["cc", "-O2", "-o", folder / name, SOURCES / f"{name}.c"], check=True)


def make_certificate(folder: Path) -> None:
    """`cert.pem` and `key.pem` for 127.0.0.1, signed by itself."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "30", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-out", folder / "cert.pem", "-keyout", folder / "key.pem"),
        ],
        check=True,
        capture_output=True,
    )


@contextmanager
def provider(folder: Path) -> Iterator[int]:
    """The port it listens on."""
    with running([folder / "provider"], folder, "provider") as server:
        yield wait_for("the provider", lambda: _first_number(server.log), server)


def _first_number(log: Path) -> int | None:
    text = log.read_text()
    return int(text) if text.endswith("\n") else None


def load(folder: Path, port: int, work: Work, seconds: float) -> Figures:
    """One round of the work through the proxy on `port`. Ends the program when an answer was not what it should be."""
    path = _body_file(folder, work.body_bytes, work.chunks > 0)
    round_s = work.least_seconds(seconds)
    words = [port, work.target, path, work.connections, round_s, work.most_requests, work.ramp_ms]
    figures = _client(folder, [str(word) for word in words])
    if work.is_crowd and figures["requests"] != work.connections:
        sys.exit(f"bench: only {figures['requests']:.0f} of {work.connections} streams began")
    return figures


def send_once(folder: Path, port: int, body_bytes: int, query: str) -> Figures:
    """A single request."""
    words = [port, f"/v1/messages?{query}", _body_file(folder, body_bytes, "chunks" in query), 1, 600, 1, 0]
    return _client(folder, [str(word) for word in words])


def _client(folder: Path, words: list[str]) -> Figures:
    output = subprocess.run([folder / "client", *words], check=True, capture_output=True).stdout
    figures: Figures = json.loads(output)
    if figures["errors"] or figures["refused"] or not figures["requests"]:
        sys.exit(f"bench: {figures['errors']:.0f} errors, {figures['refused']:.0f} answers other than 200")
    return figures


def _body_file(folder: Path, size: int, is_streaming: bool) -> Path:
    """An agent's request of about this size."""
    path = folder / f"body-{size}{'-stream' if is_streaming else ''}.json"
    if not path.exists():
        path.write_bytes(request_body(1, 1, size, is_streaming))
    return path
