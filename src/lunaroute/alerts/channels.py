"""Ways to tell people: the desktop, a webhook, a command. Each is tried a few times, beside everything else.

What cannot be told is a line on stderr; that the rule fired is on record all the same (`ledger`).
"""

from __future__ import annotations

import queue
import shlex
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable

import msgspec

from lunaroute.config import AlertConfig

from .ledger import Entry

_WEBHOOK_S = 10.0
_COMMAND_S = 30.0
_TRIES_AFTER_S = (0.0, 2.0, 10.0)
_PATIENCE_AT_END_S = 3.0

Channel = Callable[[AlertConfig, Entry], None]


class Channels:
    """A thread of its own, so that a webhook that hangs holds up no rule. `close` waits a moment for the last ones."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[tuple[Channel, AlertConfig, Entry] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="channels", daemon=True)
        self._thread.start()

    def tell(self, config: AlertConfig, entry: Entry) -> None:
        """Over every channel that the rule names; the desktop is told only of what begins."""
        if config.desktop and entry.what == "fired":
            self._waiting.put((_desktop, config, entry))
        if config.webhook is not None:
            self._waiting.put((_webhook, config, entry))
        if config.command is not None:
            self._waiting.put((_command, config, entry))

    def close(self) -> None:
        self._waiting.put(None)
        self._thread.join(_PATIENCE_AT_END_S)

    def _run(self) -> None:
        while (task := self._waiting.get()) is not None:
            _insist(*task)


def _insist(channel: Channel, config: AlertConfig, entry: Entry) -> None:
    for wait_s in _TRIES_AFTER_S:
        time.sleep(wait_s)
        try:
            channel(config, entry)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            problem = error
        else:
            return
    what = f"alert {entry.rule!r} could not be told"
    print(f"lunaroute: {what} ({channel.__name__.strip('_')}): {problem}", file=sys.stderr, flush=True)


def _desktop(_config: AlertConfig, entry: Entry) -> None:
    title = f"LunaRoute: {entry.rule}"
    if sys.platform == "darwin":
        script = "on run argv\ndisplay notification (item 2 of argv) with title (item 1 of argv)\nend run"
        command = ["osascript", "-e", script, title, entry.message]
    else:
        command = ["notify-send", "--app-name=LunaRoute", "--urgency=critical", "--", title, entry.message]
    subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_COMMAND_S, check=True)


def _webhook(config: AlertConfig, entry: Entry) -> None:
    body = msgspec.json.encode(entry)
    headers = {"content-type": "application/json", "user-agent": "lunaroute"}
    request = urllib.request.Request(config.webhook or "", body, headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=_WEBHOOK_S) as answer:
            answer.read(1024)
    except urllib.error.HTTPError as error:
        error.close()
        raise


def _command(config: AlertConfig, entry: Entry) -> None:
    """The entry as JSON on its standard input."""
    words = shlex.split(config.command or "")
    subprocess.run(words, input=msgspec.json.encode(entry), capture_output=True, timeout=_COMMAND_S, check=True)
