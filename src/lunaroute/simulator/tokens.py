"""Token counts and the prompt cache of the simulated provider.

In: canonical prompt parts and generated text. Out: token counts. Invariant: a token is four bytes of UTF-8,
rounded up per part, so that a test can compute the truth from the bytes alone.
"""

from __future__ import annotations

import hashlib

from lunaroute.simulator.turn import Prompt, Tokens, Turn

BYTES_PER_TOKEN = 4
_AUTO_CACHE_STEP_TOKENS = 128
_REMEMBERED_PREFIXES = 200_000


def token_count(text: str | bytes) -> int:
    """Tokens in a piece of text: its UTF-8 bytes ÷ 4, rounded up."""
    size_bytes = len(text.encode() if isinstance(text, str) else text)
    return -(-size_bytes // BYTES_PER_TOKEN)


def output_token_count(turn: Turn) -> int:
    """Thinking + text + each call's name and arguments; at least 1."""
    calls = sum(token_count(call.name) + token_count(call.arguments) for call in turn.calls)
    return max(1, token_count(turn.thinking) + token_count(turn.text) + calls)


class PromptCache:
    """Remembers prompt prefixes. Unlike the real ones it has no minimum size and forgets only by count."""

    def __init__(self) -> None:
        self._known: dict[bytes, None] = {}

    def charge(self, prompt: Prompt, turn: Turn) -> Tokens:
        """The tokens of an exchange; its cacheable prefix is known from now on."""
        counts = [token_count(part.canonical) for part in prompt.parts]
        marked = [n for n, part in enumerate(prompt.parts) if part.is_marked]
        # Anthropic caches up to the last marker, OpenAI whatever it likes.
        cacheable = len(counts) if prompt.is_auto_cached else (marked[-1] + 1 if marked else 0)
        hit = self._look_up(prompt, cacheable)
        read, written = sum(counts[:hit]), sum(counts[hit:cacheable])
        if prompt.is_auto_cached:
            read, written = read - read % _AUTO_CACHE_STEP_TOKENS, 0
        return Tokens(
            input_tokens=sum(counts),
            cache_read_tokens=read,
            cache_write_tokens=written,
            is_one_hour=any(part.is_one_hour for part in prompt.parts),
            output_tokens=output_token_count(turn),
            thinking_tokens=token_count(turn.thinking),
        )

    def _look_up(self, prompt: Prompt, cacheable: int) -> int:
        """How many leading parts were known; all cacheable ones are afterwards."""
        digest, hit = hashlib.blake2b(prompt.model.encode(), digest_size=16).digest(), 0
        for n, part in enumerate(prompt.parts[:cacheable], start=1):
            digest = hashlib.blake2b(digest + part.canonical, digest_size=16).digest()
            if digest in self._known:
                hit = n
            self._known[digest] = None
        while len(self._known) > _REMEMBERED_PREFIXES:
            del self._known[next(iter(self._known))]
        return hit
