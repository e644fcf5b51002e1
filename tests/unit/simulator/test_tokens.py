from typing import Any

import pytest

from lunaroute.simulator import anthropic, openai_chat, openai_responses
from lunaroute.simulator.dialect import Conversations
from lunaroute.simulator.tokens import PromptCache, output_token_count, token_count
from lunaroute.simulator.turn import Prompt, Tokens, ToolCall, Turn

TURN = Turn(thinking="t" * 8, text="x" * 10, calls=(ToolCall(id="c", name="grep", arguments="{}"),))
MARKER = {"type": "ephemeral"}


def anthropic_prompt(*texts: str, marked: int | None = None, ttl: dict[str, str] | None = None) -> Prompt:
    messages: list[dict[str, Any]] = []
    for n, text in enumerate(texts):
        block: dict[str, Any] = {"type": "text", "text": text}
        if n == marked:
            block["cache_control"] = MARKER | (ttl or {})
        messages.append({"role": "user" if n % 2 == 0 else "assistant", "content": [block]})
    return anthropic.read_prompt({"model": "m", "messages": messages}, Conversations())


def charge(cache: PromptCache, prompt: Prompt) -> Tokens:
    return cache.charge(prompt, TURN)


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("äöü", 2)])
def test_a_token_is_four_bytes_rounded_up(text: str, tokens: int) -> None:
    assert token_count(text) == tokens


def test_output_counts_thinking_text_and_calls() -> None:
    assert output_token_count(TURN) == 2 + 3 + 1 + 1


def test_without_a_marker_anthropic_caches_nothing() -> None:
    cache = PromptCache()
    for _ in range(2):
        tokens = charge(cache, anthropic_prompt("hello" * 50))
        assert (tokens.cache_read_tokens, tokens.cache_write_tokens) == (0, 0)


def test_the_read_part_grows_with_the_resent_prefix() -> None:
    cache, a, b, c = PromptCache(), "a" * 400, "b" * 400, "c" * 400
    first = charge(cache, anthropic_prompt(a, marked=0))
    second = charge(cache, anthropic_prompt(a, b, c, marked=2))
    third = charge(cache, anthropic_prompt(a, b, c, marked=2))
    assert (first.cache_read_tokens, first.cache_write_tokens) == (0, first.input_tokens)
    assert second.cache_read_tokens == first.input_tokens
    assert second.cache_write_tokens == second.input_tokens - first.input_tokens
    assert (third.cache_read_tokens, third.cache_write_tokens) == (third.input_tokens, 0)


def test_what_follows_the_last_marker_is_neither_read_nor_written() -> None:
    tokens = charge(PromptCache(), anthropic_prompt("a" * 400, "b" * 400, "c" * 400, marked=0))
    assert 0 < tokens.cache_write_tokens < tokens.input_tokens


def test_the_ttl_of_the_marker_is_kept() -> None:
    assert charge(PromptCache(), anthropic_prompt("a", marked=0, ttl={"ttl": "1h"})).is_one_hour
    assert not charge(PromptCache(), anthropic_prompt("a", marked=0)).is_one_hour


def test_a_string_and_a_lone_text_block_are_the_same_content() -> None:
    cache = PromptCache()
    charge(cache, anthropic_prompt("a" * 400, marked=0))
    plain = {"role": "user", "content": "a" * 400}
    body = {"model": "m", "cache_control": MARKER, "messages": [plain]}
    assert charge(cache, anthropic.read_prompt(body, Conversations())).cache_write_tokens == 0


def test_another_model_has_another_cache() -> None:
    cache = PromptCache()
    body = {"messages": [{"role": "user", "content": "a" * 4000}]}
    charge(cache, openai_chat.read_prompt(body | {"model": "one"}, Conversations()))
    assert charge(cache, openai_chat.read_prompt(body | {"model": "two"}, Conversations())).cache_read_tokens == 0
    assert charge(cache, openai_chat.read_prompt(body | {"model": "one"}, Conversations())).cache_read_tokens > 0


@pytest.mark.parametrize("items", [["a" * 4000], ["a" * 4000, "b" * 4000]])
def test_openai_caches_unasked_in_steps_of_128_tokens(items: list[str]) -> None:
    cache, kept = PromptCache(), Conversations()
    body = {"model": "m", "input": [{"role": "user", "content": text} for text in items]}
    first = charge(cache, openai_responses.read_prompt(body, kept))
    again = charge(cache, openai_responses.read_prompt(body, kept))
    assert first.cache_read_tokens == 0
    assert again.cache_read_tokens == again.input_tokens // 128 * 128
