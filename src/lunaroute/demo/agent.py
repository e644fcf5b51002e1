"""All of the demo's agents at once, each a session of its own.

In: the base URL of a relay or a simulated provider. Out: what each agent's SDK saw. Needs the packages
`anthropic` and `openai` (extra `demo`). Invariant: only dummy keys are used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from lunaroute.demo import anthropic_agent, openai_agents
from lunaroute.demo.run import AgentRun, AgentSummary, OnProgress
from lunaroute.demo.workspace import Workspace

AGENT_NAMES = (
    "claude-thinking",
    "claude-overloaded",
    "claude-unstreamed",
    "openai-chat",
    "openai-chat-limited",
    "responses-chained",
    "responses-stateless",
)


async def run_agents(base_url: str, on_progress: OnProgress, *, delay_factor: float = 1.0) -> list[AgentSummary]:
    """Run every agent to its end, concurrently. Raises the SDK's error if one of them fails for good.

    `base_url` is `http://host:port`, without `/v1`; `delay_factor` scales how long the agents' own tools take.
    """
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(agent) for agent in _agents(base_url, on_progress, delay_factor)]
    return [task.result() for task in tasks]


def _agents(base_url: str, on_progress: OnProgress, delay_factor: float) -> list[Coroutine[Any, Any, AgentSummary]]:
    def run(name: str, dialect: str, model: str) -> tuple[AgentRun, str, Workspace]:
        assert name in AGENT_NAMES
        return AgentRun(name, dialect, model, on_progress), base_url, Workspace(delay_factor)

    chat, responses, messages = "openai_chat", "openai_responses", "anthropic_messages"
    overloaded = "status=529; retry_after=0.3; times=1"
    limited = "status=429; retry_after=0.2; times=1"
    return [
        anthropic_agent.work(*run("claude-thinking", messages, "claude-sonnet-4-6"), is_streamed=True),
        anthropic_agent.work(
            *run("claude-overloaded", messages, "claude-opus-4-8"), is_streamed=True, simulate_first=overloaded
        ),
        anthropic_agent.work(*run("claude-unstreamed", messages, "claude-haiku-4-5"), is_streamed=False),
        openai_agents.chat(*run("openai-chat", chat, "gpt-4.1")),
        openai_agents.chat(*run("openai-chat-limited", chat, "gpt-5-mini"), simulate_first=limited),
        openai_agents.responses(*run("responses-chained", responses, "gpt-5"), is_chained=True),
        openai_agents.responses(*run("responses-stateless", responses, "gpt-5-mini"), is_chained=False),
    ]
