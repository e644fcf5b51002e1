"""The real clients that are driven against the relay, and the versions that are known to work.

In: nothing. Out: what to install from which registry, and where the program is then. Invariant: every version is exact;
a newer one is a change of this file.
"""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import Literal

import msgspec

ROOT = Path(__file__).resolve().parents[2] / "build" / "clients"
"""Where they are installed; ignored by git, and gone with `make clean`."""


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """One client in a folder of its own."""

    name: str
    registry: Literal["npm", "pypi"]
    packages: tuple[str, ...]
    """As the registry's tool takes them; the first is the client itself."""
    program: str
    """Below `folder`."""
    after_install: tuple[str, ...] = ()
    """What npm would run after the installation, if it ran such scripts: a command for our Node.js."""

    @property
    def folder(self) -> Path:
        return ROOT / self.name

    @property
    def path(self) -> Path:
        return self.folder / self.program


def _node_package() -> str:
    machine = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64"}.get(platform.machine().lower(), platform.machine())
    return f"node-{sys.platform}-{machine}"


def _npm(name: str, program: str, *packages: str, after_install: tuple[str, ...] = ()) -> Client:
    return Client(
        name=name, registry="npm", packages=packages, program=f"node_modules/{program}", after_install=after_install
    )


def _pypi(name: str, program: str, *packages: str) -> Client:
    return Client(name=name, registry="pypi", packages=packages, program=f"bin/{program}")


NODE = _npm("node", f"{_node_package()}/bin/node", f"{_node_package()}@24.21.0")
"""Most npm clients want a newer Node.js than distributions have."""

CLAUDE_CODE = _npm(
    "claude-code",
    ".bin/claude",
    "@anthropic-ai/claude-code@2.1.330",
    after_install=("node_modules/@anthropic-ai/claude-code/install.cjs",),
)
CODEX = _npm("codex", ".bin/codex", "@openai/codex@0.169.0")
OPENCODE = _npm(
    "opencode",
    ".bin/opencode",
    "opencode-ai@1.18.33",
    after_install=("node_modules/opencode-ai/postinstall.mjs",),
)
GEMINI_CLI = _npm("gemini-cli", ".bin/gemini", "@google/gemini-cli@0.61.0")
QWEN_CODE = _npm("qwen-code", ".bin/qwen", "@qwen-code/qwen-code@0.24.4")
AIDER = _pypi("aider", "aider", "aider-chat==0.86.2")
PYDANTIC_AI = _pypi(
    "pydantic-ai", "python", "pydantic-ai-slim[anthropic,openai,google]==2.68.0", "anthropic==1.17.0", "openai==3.54.0"
)
VERCEL_AI = _npm(
    "vercel-ai",
    "ai/package.json",
    "ai@7.0.173",
    "@ai-sdk/anthropic@4.0.105",
    "@ai-sdk/openai@4.0.118",
    "@ai-sdk/openai-compatible@3.0.92",
    "@ai-sdk/google@4.0.121",
)

CLIENTS = (NODE, CLAUDE_CODE, CODEX, OPENCODE, GEMINI_CLI, QWEN_CODE, AIDER, PYDANTIC_AI, VERCEL_AI)
