"""An agent on pydantic-ai: python pydantic_agent.py BASE_URL PROVIDER MODEL run|stream PROMPT"""

import asyncio
import sys
from pathlib import Path

from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.google import GoogleModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.google import GoogleProvider
from pydantic_ai.providers.openai import OpenAIProvider


def model(base_url, provider, name):
    openai = OpenAIProvider(base_url=f"{base_url}/v1", api_key="dummy")
    if provider == "anthropic":
        return AnthropicModel(name, provider=AnthropicProvider(base_url=base_url, api_key="dummy"))
    if provider == "google":
        return GoogleModel(name, provider=GoogleProvider(base_url=base_url, api_key="dummy"))
    return OpenAIChatModel(name, provider=openai) if provider == "chat" else OpenAIResponsesModel(name, provider=openai)


def read_note(name: str) -> str:
    return Path(name).read_text()


def make_note(name: str) -> dict[str, object]:
    with Path(name).open("a") as file:
        file.write("made\n")
    return {"name": name, "is_made": True}


async def drain(_context, events):
    """Having a handler is what makes the agent stream."""
    async for _ in events:
        pass


async def main(base_url, provider, name, how, prompt):
    agent = Agent(model(base_url, provider, name), tools=[read_note, make_note])
    result = await agent.run(prompt, event_stream_handler=drain if how == "stream" else None)
    print(result.output)


asyncio.run(main(*sys.argv[1:]))
