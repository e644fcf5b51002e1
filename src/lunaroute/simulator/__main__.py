"""`python -m lunaroute.simulator`: run the simulated provider until SIGTERM or Ctrl-C.

Prints one line, `listening on http://127.0.0.1:PORT`, when it is ready. It never listens beyond loopback.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
import sys
from collections.abc import Callable

import click

from lunaroute.simulator.server import Simulator


@click.command()
@click.option("--port", default=0, show_default=True, help="TCP port on 127.0.0.1; 0 takes a free one.")
@click.option("--delay-factor", default=1.0, show_default=True, help="Scales all natural pauses; 0 = none.")
@click.option("--seed", default=None, help="Same seed, same ids; without one they differ from run to run.")
@click.option("--http-only", is_flag=True, help="Answer WebSocket handshakes as a provider that knows none: 405.")
def main(port: int, delay_factor: float, seed: str | None, http_only: bool) -> None:
    """Run a simulated LLM provider (Anthropic Messages, OpenAI Chat and Responses, Gemini) on 127.0.0.1."""
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(port, Simulator(seed or secrets.token_hex(8), delay_factor, http_only=http_only)))
    except OSError as error:
        click.echo(f"cannot listen on 127.0.0.1:{port}: {error.strerror or error}", err=True)
        sys.exit(1)


async def _serve(port: int, simulator: Simulator) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    server = await simulator.listen(port)
    host, bound_port = server.sockets[0].getsockname()[:2]
    click.echo(f"listening on http://{host}:{bound_port}")
    await stop.wait()
    server.close()  # not waited for: open streams end with the process
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


if __name__ == "__main__":
    main()
