"""Real clients, installed from their registries: not part of the default run (`make test-clients`)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.catalog import CLIENTS, NODE, Client
from tests.clients.install import why_missing


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.clients)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The versions that this run speaks about."""
    if config.option.markexpr != "clients":
        return
    terminalreporter.section("clients")
    for client in CLIENTS:
        terminalreporter.write_line(f"{client.name:12} {why_missing(client) or ' '.join(client.packages)}")


def skip_without(client: Client) -> None:
    """Skip the test that calls this where a client, or the Node.js it needs, is not installed."""
    for needed in (NODE, client) if client.registry == "npm" else (client,):
        reason = why_missing(needed)
        if reason is not None:
            pytest.skip(f"{needed.name} {reason}")
