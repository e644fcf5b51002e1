"""What people do with the official SDKs, as functions of a base URL that return everything the SDK told.

Results are plain values without what no two runs share: creation times. Ids are the seed's, so they are compared.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anthropic
import openai

Results = list[Any]
QUESTION: list[Any] = [{"role": "user", "content": "What is wrong with the cart?"}]
_SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
_TOOLS: list[Any] = [{"name": "read_file", "description": "Reads a file.", "input_schema": _SCHEMA}]
_FUNCTIONS: list[Any] = [{"type": "function", "function": {"name": "read_file", "parameters": _SCHEMA}}]
_RESPONSE_TOOLS: list[Any] = [{"type": "function", "name": "read_file", "parameters": _SCHEMA, "strict": False}]
_CLAUDE: dict[str, Any] = {"model": "claude-haiku-4-5", "max_tokens": 900}
_TIMES = {"created", "created_at", "completed_at"}


def _plain(value: Any) -> Any:
    """An SDK object as plain values."""
    if hasattr(value, "to_dict"):
        value = value.to_dict(mode="json")
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if key not in _TIMES}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _claude(base_url: str, **options: Any) -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key="dummy", base_url=base_url, **options)


def _gpt(base_url: str, **options: Any) -> openai.OpenAI:
    return openai.OpenAI(api_key="dummy", base_url=f"{base_url}/v1", **options)


def _error(action: Callable[[], Any]) -> Any:
    """What the SDK raises, as a person would look at it."""
    try:
        result = action()
    except (anthropic.APIStatusError, openai.APIStatusError) as error:
        return [type(error).__name__, error.status_code, str(error), error.body, error.request_id]
    except (anthropic.AnthropicError, openai.OpenAIError) as error:
        return [type(error).__name__, str(error)]
    except Exception as error:  # the HTTP library's own, which the SDKs let through in mid-stream
        return [type(error).__name__, str(error)]
    return ["no error", _plain(result)]


def messages(base_url: str) -> Results:
    with _claude(base_url) as client:
        raw = client.messages.with_raw_response.create(
            **_CLAUDE, messages=QUESTION, system="Be brief.", metadata={"user_id": "u-1"}
        )
        counted = client.messages.count_tokens(model="claude-haiku-4-5", messages=QUESTION)
        return [_plain(raw.parse()), raw.status_code, _told_headers(raw.headers), _plain(counted)]


def messages_streamed(base_url: str) -> Results:
    thinking: Any = {"type": "enabled", "budget_tokens": 1024}
    with (
        _claude(base_url) as client,
        client.messages.stream(**_CLAUDE, messages=QUESTION, tools=_TOOLS, thinking=thinking) as stream,
    ):
        events = [_plain(event) for event in stream]
        return [events, _plain(stream.get_final_message())]


def messages_with_tools_and_cache(base_url: str) -> Results:
    """Two tool calls at once, their results (one failed), the answer; the history is cached."""
    system: list[Any] = [{"type": "text", "text": "Rules. " * 200, "cache_control": {"type": "ephemeral"}}]
    with _claude(base_url) as client:
        first = client.messages.create(**_CLAUDE, system=system, tools=_TOOLS, messages=QUESTION)
        calls = [block for block in first.content if block.type == "tool_use"]
        results: list[Any] = [
            {"type": "tool_result", "tool_use_id": call.id, "content": f"output {n}", "is_error": n == 1}
            for n, call in enumerate(calls)
        ]
        history = [*QUESTION, {"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
        second = client.messages.create(**_CLAUDE, system=system, tools=_TOOLS, messages=history)
        return [_plain(first), _plain(second)]


def messages_in_many_async_streams(base_url: str) -> Results:
    async def ask(client: anthropic.AsyncAnthropic, n: int) -> Any:
        content = f"question {n} [[simulate: answer_bytes={500 + n}]]"
        async with client.messages.stream(**_CLAUDE, messages=[{"role": "user", "content": content}]) as stream:
            return _plain(await stream.get_final_message())

    async def ask_all() -> Results:
        async with anthropic.AsyncAnthropic(api_key="dummy", base_url=base_url) as client:
            return await asyncio.gather(*(ask(client, n) for n in range(12)))

    # Which of them got which id is chance.
    return [{key: value for key, value in answer.items() if key != "id"} for answer in asyncio.run(ask_all())]


def chat(base_url: str) -> Results:
    with _gpt(base_url) as client:
        first = client.chat.completions.create(model="gpt-5-mini", messages=QUESTION, tools=_FUNCTIONS)
        calls = first.choices[0].message.tool_calls or []
        outputs: list[Any] = [{"role": "tool", "tool_call_id": call.id, "content": "output"} for call in calls]
        history: list[Any] = [*QUESTION, first.choices[0].message.to_dict(), *outputs]
        second = client.chat.completions.create(model="gpt-5-mini", messages=history, tools=_FUNCTIONS)
        return [_plain(first), _plain(second), _plain(client.models.list().data)]


def chat_streamed(base_url: str) -> Results:
    with _gpt(base_url) as client:
        stream = client.chat.completions.create(
            model="gpt-4.1",
            messages=QUESTION,
            tools=_FUNCTIONS,
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [_plain(chunk) for chunk in stream]
        untold = client.chat.completions.create(model="gpt-4.1", messages=QUESTION, stream=True)
        return [chunks, [_plain(chunk) for chunk in untold]]


def responses(base_url: str) -> Results:
    with _gpt(base_url) as client:
        request: dict[str, Any] = {"model": "gpt-5", "tools": _RESPONSE_TOOLS, "reasoning": {"summary": "auto"}}
        first = client.responses.create(input="What is wrong?", **request)
        outputs: Any = [
            {"type": "function_call_output", "call_id": item.call_id, "output": "…"}
            for item in first.output
            if item.type == "function_call"
        ]
        second = client.responses.create(input=outputs, previous_response_id=first.id, **request)
        return [_plain(first), _plain(second)]


def responses_streamed_async(base_url: str) -> Results:
    async def run() -> Results:
        async with openai.AsyncOpenAI(api_key="dummy", base_url=f"{base_url}/v1") as client:
            stream = await client.responses.create(
                model="gpt-5", input="Why?", tools=_RESPONSE_TOOLS, stream=True, reasoning={"summary": "auto"}
            )
            return [_plain(event) async for event in stream]

    return asyncio.run(run())


def compressed(base_url: str) -> Results:
    results: Results = []
    with _claude(base_url) as client:
        for coding in ("gzip", "br", "zstd"):
            headers = {"x-simulate": coding}
            with client.messages.stream(**_CLAUDE, messages=QUESTION, extra_headers=headers) as stream:
                results.append(_plain(stream.get_final_message()))
            results.append(_plain(client.messages.create(**_CLAUDE, messages=QUESTION, extra_headers=headers)))
    return results


def framed_oddly(base_url: str) -> Results:
    """Small writes, a body that ends with the connection, a JSON body in chunks."""
    results: Results = []
    with _claude(base_url) as client:
        for directive in ("chunked_split=7", "close"):
            headers = {"x-simulate": directive}
            with client.messages.stream(**_CLAUDE, messages=QUESTION, extra_headers=headers) as stream:
                results.append(_plain(stream.get_final_message()))
            results.append(_plain(client.messages.create(**_CLAUDE, messages=QUESTION, extra_headers=headers)))
    return results


def refused(base_url: str) -> Results:
    results: Results = []
    with _claude(base_url, max_retries=0) as claude, _gpt(base_url, max_retries=0) as gpt:
        for status in (400, 401, 403, 404, 413, 429, 500, 529):
            headers = {"x-simulate": f"status={status}"}
            results.append(
                _error(lambda: claude.messages.create(**_CLAUDE, messages=QUESTION, extra_headers=headers))  # noqa: B023
            )
            results.append(
                _error(lambda: gpt.responses.create(model="gpt-5", input="x", stream=True, extra_headers=headers))  # noqa: B023
            )
    return results


def retried(base_url: str) -> Results:
    """The SDK's own retries: after 529, after 429 with retry-after, after a connection that closed unanswered."""
    results: Results = []
    with _claude(base_url) as claude, _gpt(base_url) as gpt:
        for directive in ("status=529; retry_after=0.01", "status=429; retry_after=0.01", "drop"):
            content: list[Any] = [{"role": "user", "content": f"[[simulate: {directive}; times=1]]"}]
            results.append(_plain(claude.messages.create(**_CLAUDE, messages=content)))
            results.append(_plain(gpt.chat.completions.create(model="gpt-4.1", messages=content)))
        content = [{"role": "user", "content": "never [[simulate: status=529; retry_after=0.01]]"}]
        results.append(_error(lambda: claude.messages.create(**_CLAUDE, messages=content)))
    return results


def failing_in_mid_stream(base_url: str) -> Results:
    """Cut, ended early as if whole, an error event, lines that are no SSE: all with status 200."""
    results: Results = []
    directives = ("cut_after=900", "end_after=900", "error_event_after=6", "malformed_sse")
    with _claude(base_url) as claude, _gpt(base_url) as gpt:
        for directive in directives:
            headers = {"x-simulate": directive}
            results.append(_error(lambda: _streamed(claude, headers)))  # noqa: B023
            chat: dict[str, Any] = {"model": "gpt-4.1", "messages": QUESTION, "stream": True, "extra_headers": headers}
            results.append(_error(lambda: list(gpt.chat.completions.create(**chat))))  # noqa: B023
            response = {"model": "gpt-5", "input": "x", "stream": True, "extra_headers": headers}
            results.append(_error(lambda: list(gpt.responses.create(**response))))  # type: ignore[call-overload]  # noqa: B023
    return results


def _streamed(client: anthropic.Anthropic, headers: dict[str, str]) -> Any:
    with client.messages.stream(**_CLAUDE, messages=QUESTION, extra_headers=headers) as stream:
        return stream.get_final_message()


def cut_in_mid_body(base_url: str) -> Results:
    """A body shorter than its content length says; the SDK tries again and gives up."""
    with _claude(base_url, max_retries=0) as client:
        headers = {"x-simulate": "cut_after=100"}
        return [_error(lambda: client.messages.create(**_CLAUDE, messages=QUESTION, extra_headers=headers))]


def left_by_the_client(base_url: str) -> Results:
    """The client's time-out ends its wait for the first byte."""
    with _claude(base_url, max_retries=0, timeout=0.3) as client:
        headers = {"x-simulate": "slow_first_byte_ms=60000"}
        return [_error(lambda: client.messages.create(**_CLAUDE, messages=QUESTION, extra_headers=headers))]


def custom_headers(base_url: str) -> Results:
    """Fields nobody knows, in odd case, beside the SDK's own."""
    with _gpt(base_url, default_headers={"X-Odd-CASE": "spaced  out;q=0", "x-empty": ""}) as client:
        return [_plain(client.chat.completions.create(model="gpt-4.1", messages=QUESTION, user="someone"))]


def _told_headers(headers: Any) -> list[tuple[str, str]]:
    """All but those that differ by the second."""
    return [(k, v) for k, v in headers.multi_items() if k not in ("date", "connection") and not k.endswith("-reset")]


SCENARIOS: dict[str, Callable[[str], Results]] = {
    scenario.__name__: scenario
    for scenario in (
        messages,
        messages_streamed,
        messages_with_tools_and_cache,
        messages_in_many_async_streams,
        chat,
        chat_streamed,
        responses,
        responses_streamed_async,
        compressed,
        framed_oddly,
        refused,
        retried,
        failing_in_mid_stream,
        cut_in_mid_body,
        left_by_the_client,
        custom_headers,
    )
}
