"""How fast the recorder works a spool off, all sinks on: exchanges and megabytes per second of CPU time.

A spool is written first, through the relay's own writer: sessions of an agent that has a tool and sends its history
again with every request, each body close to the row's size. At 1 KB there is room for the answers to four turns; every
fifth begins a new task, and the size is that of the five on average. Then one recorder empties it, as in
`lunaroute serve`, and the CPU time of this process is taken. Nothing else runs.

What was written is removed at the very end. For minutes after files were removed, ext4 without a journal looks longer
for the place of each new one: a tenth of a session of 20 exchanges of 1 KB, and no recorder removes so many files.
"""

from __future__ import annotations

import argparse
import atexit
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from lunaroute.capture.ids import uuid7_bytes
from lunaroute.capture.records import Opening, RelayStarted, RelayStopped
from lunaroute.config import Config, RedactionConfig
from lunaroute.encryption.keys import KEY_VARIABLE, keyring
from lunaroute.pricing.table import find_rates, price_version
from lunaroute.recorder.dead_letter import DeadLetters
from lunaroute.recorder.worker import open_recorder
from lunaroute.spool.writer import SpoolWriter, open_lane

ROWS = (  # name, bytes of a request body, events of a streamed answer (0: plain), exchanges, exchanges a session
    ("1 KB, plain answer", 1_000, 0, 16_000, 20),
    ("1 KB, stream of 100 events", 1_000, 100, 3_000, 20),
    ("50 KB, plain answer", 50_000, 0, 4_000, 40),
    ("400 KB, plain answer", 400_000, 0, 1_000, 100),
)
_MESSAGE = "The build fails in step {0}: undefined name in module number {1}; see line 312 of the log. " * 9
_TASK_TURNS = 5
_TASK_ROOM, _STREAM_ROOM = 640, 290
"""Bytes of a request without the task's own words, on average."""
_TOOL = {
    "name": "Bash",
    "description": "Run a command.",
    "input_schema": {"type": "object", "properties": {"command": {"type": "string"}}},
}
_ANSWER = "Done. " * 20
_START_NS = 1_780_000_000_000_000_000
_STEP_NS = 1_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", action="store_true", help="print where the time of the last row goes")
    parser.add_argument("--rows", default="", help="only rows whose name contains this")
    parser.add_argument("--redact", action="store_true", help="with redaction on: all rules, mode mask")
    parser.add_argument("--encrypt", action="store_true", help="with encryption at rest, the spool included")
    arguments = parser.parse_args()
    if arguments.encrypt:
        os.environ[KEY_VARIABLE] = "42" * 32
    print("| work | CPU-ms an exchange | exchanges/s | MB/s |\n|---|---|---|---|")
    for name, size, events, count, per_session in ROWS:
        if arguments.rows in name:
            cpu_s, mb = run(size, events, count, per_session, arguments.profile, arguments.redact)
            print(f"| {name} | {cpu_s / count * 1e3:.3f} | {count / cpu_s:.0f} | {mb / cpu_s:.0f} |", flush=True)


def run(size: int, events: int, count: int, per_session: int, profile: bool, redact: bool) -> tuple[float, float]:
    """(CPU seconds, megabytes of bodies)."""
    home = Path(tempfile.mkdtemp(prefix="lunaroute-bench-"))
    atexit.register(shutil.rmtree, home)
    config = Config(home=home, redaction=RedactionConfig(mode="mask" if redact else "off"))
    mb = write_spool(config, size, events, count, per_session)
    recorder = open_recorder(config, DeadLetters(config.recorder_dir / "dead-letter"))
    price_version()  # read the price table, as a recorder does once in its life
    find_rates("anthropic", "claude-sonnet-4-5", wall_ns=_START_NS, input_tokens=1, context={})
    profiler = start_profiler() if profile else None
    start = time.process_time()
    while not recorder.is_drained():
        recorder.step()
    recorder.checkpoint()
    cpu_s = time.process_time() - start
    if profiler is not None:
        stop_profiler(profiler)
    recorded = recorder.counts.exchanges_recorded
    recorder.close()
    if recorded != count:
        sys.exit(f"{recorded} of {count} exchanges were recorded")
    return cpu_s, mb


def write_spool(config: Config, size: int, events: int, count: int, per_session: int) -> float:
    ring = keyring()
    seal = ring.seal if ring.is_on else None
    writer = open_lane(config.spool_dir, config.recording.segment_bytes, seal=seal)
    writer.put(RelayStarted(1, _START_NS, "bench", 1, "bench"))
    total = 0
    for number, (session, turn) in enumerate(_turns(count, per_session)):
        total += write_exchange(writer, number + 1, session, turn, size, events)
        writer.flush()
    t_ns = (count + 2) * _STEP_NS
    writer.close([RelayStopped(t_ns, _START_NS + t_ns)], t_ns)
    return total / 1e6


def _turns(count: int, per_session: int) -> Iterator[tuple[int, int]]:
    for number in range(count):
        yield divmod(number, per_session)


def write_exchange(writer: SpoolWriter, number: int, session: int, turn: int, size: int, events: int) -> int:
    body, answer = request_body(session, turn, size, events), response_body(number, events)
    opening = writer.opening(
        Opening(
            listener="anthropic",
            provider="anthropic",
            method="POST",
            target="/v1/messages",
            path="/v1/messages",
            http_version="1.1",
            header_lines=b"Host: x\r\nContent-Type: application/json\r\nX-Claude-Code-Session-Id: session-%d\r\n"
            b"User-Agent: claude-cli/2.1.330 (external, cli)" % session,
            session_tags=[],
            credential="abc",
        )
    )
    t_ns = (number + 1) * _STEP_NS
    wall_ns = _START_NS + t_ns
    writer.request_opened(number, t_ns, wall_ns, uuid7_bytes(wall_ns // 1_000_000, number), -1, b"", opening, body, 9)
    content_type = b"text/event-stream" if events else b"application/json"
    head = b"OK\r\nContent-Type: " + content_type
    pieces = [answer[at : at + 4096] for at in range(0, len(answer), 4096)]
    writer.response_opened(number, t_ns + 100_000, 200, head, pieces[0])
    for at, piece in enumerate(pieces[1:]):
        writer.response_chunk(number, t_ns + 110_000 + at * 1000, piece)
    writer.exchange_closed(number, t_ns + 200_000, "completed", None, t_ns + 1000, 9, 9)
    return len(body) + len(answer)


def request_body(session: int, turn: int, size: int, events: int) -> bytes:
    """An agent's request, its history with it."""
    messages = _short_task(session, turn, size, events) if size <= 2_000 else _long_history(session, turn, size)
    fields = {"model": "claude-sonnet-4-5", "max_tokens": 1000, "stream": events > 0, "tools": [_TOOL]}
    return json.dumps(fields | {"messages": messages}, separators=(",", ":")).encode()


def _short_task(session: int, turn: int, size: int, events: int) -> list[dict[str, object]]:
    """A task and the answers to the turns of it so far; every fifth turn begins the next task."""
    task, turns = divmod(turn, 1 if events else _TASK_TURNS)  # a stream's answer has more than the size
    first = f"{task}: {_MESSAGE.format(session, task)}"[: size - (_STREAM_ROOM if events else _TASK_ROOM)]
    messages: list[dict[str, object]] = [{"role": "user", "content": first}]
    for at in range(turns):
        messages.append({"role": "assistant", "content": [{"type": "text", "text": _ANSWER}]})
        messages.append({"role": "user", "content": f"turn {at}"})
    return messages


def _long_history(session: int, turn: int, size: int) -> list[dict[str, object]]:
    """Calls and their results, up to the size."""
    messages: list[dict[str, object]] = []
    at = length = 0
    budget = size - 700
    while length < budget:
        text = _MESSAGE.format(session, at)[: min(800, budget - length)]
        if at % 2 == 0:
            results = [{"type": "tool_result", "tool_use_id": f"toolu_{session}_{at}", "content": text}]
            messages.append({"role": "user", "content": results if at else text})
        else:
            call = {"type": "tool_use", "id": f"toolu_{session}_{at + 1}", "name": "Bash", "input": {"command": text}}
            messages.append({"role": "assistant", "content": [call]})
        at += 1
        length += len(text) + 100
    messages.append({"role": "user", "content": f"turn {turn}"})
    return messages


def response_body(number: int, events: int) -> bytes:
    usage = {"input_tokens": 10, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 5, "output_tokens": 20}
    message = {"id": f"msg_{number}", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5-20250929"}
    if not events:
        text = [{"type": "text", "text": _ANSWER}]
        return json.dumps(message | {"content": text, "stop_reason": "end_turn", "usage": usage}).encode()
    empty = {"type": "text", "text": ""}
    parts: list[dict[str, object]] = [
        {"type": "message_start", "message": message | {"content": [], "usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": empty},
    ]
    delta = {"type": "text_delta", "text": "some more text"}
    parts += [{"type": "content_block_delta", "index": 0, "delta": delta} for _ in range(events - 5)]
    parts.append({"type": "content_block_stop", "index": 0})
    parts.append({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 95}})
    parts.append({"type": "message_stop"})
    lines = [f"event: {part['type']}\ndata: {json.dumps(part, separators=(',', ':'))}\n\n" for part in parts]
    return "".join(lines).encode()


def start_profiler() -> object:
    import cProfile

    profiler = cProfile.Profile()
    profiler.enable()
    return profiler


def stop_profiler(profiler: object) -> None:
    import pstats

    with suppress(AttributeError):
        profiler.disable()  # type: ignore[attr-defined]
    pstats.Stats(profiler, stream=sys.stderr).sort_stats("tottime").print_stats(40)  # type: ignore[call-overload]


if __name__ == "__main__":
    main()
