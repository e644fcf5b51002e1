"""Build hook: compiles the hot path with mypyc, where that is possible.

The modules stay plain Python and work as they are; compiled, the relay needs about half the CPU time (ADR 0007) and the
recorder about three quarters (ADR 0030; docs/performance.md). Without a C compiler or Python's headers the package is
built uncompiled, with one line that says so. LUNAROUTE_COMPILE=0 leaves it out on purpose, LUNAROUTE_COMPILE=1 makes
its failure an error.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run by hand, where only the compiler is needed
    BuildHookInterface = object

HOT_MODULES = (
    "capture/ids.py",
    "spool/frame.py",
    "spool/writer.py",
    "relay/headers.py",
    "relay/heads.py",
    "relay/plans.py",
    "relay/chunked.py",
    "relay/tap.py",
    "relay/turn.py",
    "relay/pool.py",
    "relay/context.py",
    "relay/exchange.py",
    "relay/blocked.py",
    "relay/client.py",
    "relay/upgrade.py",
    "relay/upstream.py",
    "dialects/loose.py",
    "dialects/portable.py",
    "dialects/marks.py",
    "dialects/message_digest.py",
    "dialects/turn.py",
    "dialects/user_text.py",
    "dialects/delta_shape.py",
    "dialects/stream_notes.py",
    "dialects/anthropic_messages/message.py",
    "dialects/anthropic_messages/request.py",
    "dialects/anthropic_messages/response.py",
    "dialects/anthropic_messages/stream.py",
    "dialects/anthropic_messages/usage.py",
    "dialects/openai_chat/choice.py",
    "dialects/openai_chat/stream.py",
    "dialects/openai_chat/usage.py",
    "events/numbers.py",
    "events/headers.py",
    "events/timestamps.py",
    "stats/percentile.py",
    "assemble/assembler.py",
    "assemble/sse.py",
    "assemble/wall_time.py",
    "dialects/reading.py",
    "dialects/resent.py",
    "sessions/context.py",
    "sessions/headers.py",
    "sessions/hints.py",
    "sessions/identity.py",
    "sessions/index.py",
    "sessions/lifecycle.py",
    "sessions/moments.py",
    "sessions/placement.py",
    "sessions/remembering.py",
    "sessions/served.py",
    "sessions/threads.py",
    "sessions/tools.py",
    "stats/histogram.py",
    "stats/sums.py",
    "stats/timing.py",
    "stats/tokens.py",
    "pricing/adding.py",
    "pricing/pricer.py",
    "events/bodies.py",
    "events/chain.py",
    "events/request.py",
    "events/response.py",
    "events/session.py",
    "events/totalling.py",
    "recorder/economics.py",
    "recorder/pipeline.py",
    "recorder/placing.py",
    "recorder/reading.py",
    "sinks/lines.py",
    "sinks/tables/event_rows.py",
    "sinks/tables/exchange_rows.py",
    "sinks/tables/rollups.py",
    "sinks/tables/rows.py",
    "sinks/tables/sums.py",
    "sinks/sqlite/batch.py",
    "sinks/sqlite/inserting.py",
    "sinks/sqlite/rollups.py",
    "sinks/sqlite/tool_calls.py",
    "sinks/line_buffer.py",
    "sinks/reading.py",
)


class CompileHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the extension modules to the wheel; for an editable install they are put beside their sources."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        wanted = os.environ.get("LUNAROUTE_COMPILE", "")
        if self.target_name != "wheel" or wanted == "0":
            return
        try:
            built = compile_hot_modules(Path(self.root))
        except (Exception, SystemExit) as error:
            if wanted == "1":
                raise
            print(f"lunaroute is installed uncompiled ({type(error).__name__}: {error})", file=sys.stderr)
            return
        if version == "editable":
            put_in_place(Path(self.root), built)
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["force_include"].update({str(path): name for name, path in built.items()})


def compile_hot_modules(root: Path) -> dict[str, Path]:
    """{path within the package's parent folder: extension module just made}."""
    from mypyc.build import mypycify
    from setuptools import Distribution
    from setuptools.command.build_ext import build_ext

    build = root / "build" / f"mypyc-{sys.implementation.cache_tag}"
    before = Path.cwd()
    os.chdir(root / "src")
    try:
        extensions = mypycify(
            ["--strict", *(f"lunaroute/{name}" for name in HOT_MODULES)],
            group_name="lunaroute",
            opt_level="3",
            target_dir=str(build / "c"),
        )
        command = build_ext(Distribution({"name": "lunaroute", "ext_modules": extensions}))
        command.build_lib, command.build_temp = str(build / "lib"), str(build / "temp")
        command.ensure_finalized()
        command.run()
        return {str(Path(path).relative_to(build / "lib")): Path(path) for path in command.get_outputs()}
    finally:
        os.chdir(before)


def put_in_place(root: Path, built: dict[str, Path]) -> None:
    """Beside the sources, younger than them: `tests/conftest.py` refuses to test anything stale."""
    for name, path in built.items():
        target = root / "src" / name
        aside = target.with_suffix(".new")
        shutil.copy(path, aside)
        aside.replace(target)  # never written into while a process has it mapped


if __name__ == "__main__":  # `make compile`
    here = Path(__file__).resolve().parent
    put_in_place(here, compile_hot_modules(here))
