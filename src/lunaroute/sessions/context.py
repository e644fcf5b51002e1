"""What of a request's context is new: the prompt before and the one now in; bytes new and re-sent, and the first place
where they differ, out.

A provider's prompt cache holds a beginning of what was sent, block by block: tools, system prompt, messages. So do we:
of each prompt the digests of its blocks are kept, never its text, and only an unchanged beginning counts as re-sent.
Where a client moves its cache markers changes nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from lunaroute.dialects.facts import ContentBlock, Marks, MessageFacts, RequestFacts
from lunaroute.dialects.marks import DIGEST_BYTES, marks_of

from .prompts import Change, Difference, Part, Prompt


def prompt_of(facts: RequestFacts) -> Prompt:
    return Prompt(
        facts.model,
        facts.cache_settings,
        _digests(facts.tool_blocks),
        _digests(facts.system_blocks),
        marks_of(facts).blocks,
        facts.hints.previous_response_id is not None,
    )


def change_since(previous: Prompt | None, prompt: Prompt, facts: RequestFacts, body_bytes: int) -> Change:
    """What changed between two requests of a thread; `facts` are those of the later one."""
    messages = facts.messages
    block_count = len(prompt.messages) // DIGEST_BYTES
    if previous is None:
        return Change(body_bytes, 0, len(messages), block_count, is_continued=False)
    is_comparable = not (previous.is_held or prompt.is_held)
    common = _common_blocks(previous.messages, prompt.messages) if is_comparable else 0
    marks = marks_of(facts)
    kept_count = bisect_right(marks.block_counts, common)
    kept_bytes = marks.sizes[kept_count - 1] if kept_count else 0
    if previous.tools == prompt.tools:
        kept_bytes += _size(facts.tool_blocks)
    if previous.system == prompt.system:
        kept_bytes += _size(facts.system_blocks)
    kept_bytes = min(kept_bytes, body_bytes)
    difference = _difference(previous, prompt, facts, marks, common if is_comparable else None)
    return Change(
        body_bytes - kept_bytes,
        kept_bytes,
        len(messages) - kept_count,
        block_count - common,
        is_continued=difference is None and (is_comparable or prompt.is_held),
        difference=difference,
    )


def _difference(
    previous: Prompt, prompt: Prompt, facts: RequestFacts, marks: Marks, common: int | None
) -> Difference | None:
    if previous.model != prompt.model:
        return Difference("model", excerpt=prompt.model)
    if previous.tools != prompt.tools:
        return _in_blocks("tools", previous.tools, prompt.tools, facts.tool_blocks, 0)
    before = _size(facts.tool_blocks)
    if previous.system != prompt.system:
        return _in_blocks("system", previous.system, prompt.system, facts.system_blocks, before)
    before += _size(facts.system_blocks)
    if previous.settings != prompt.settings:
        return Difference("settings", bytes_before=before)
    if common is None or common * DIGEST_BYTES == len(previous.messages):
        return None
    return _in_messages(facts.messages, marks, common, before)


def _in_blocks(part: Part, previous: bytes, now: bytes, blocks: Sequence[ContentBlock], before: int) -> Difference:
    common = _common_blocks(previous, now)
    before += _size(blocks[:common])
    if common == len(blocks):
        return Difference(part, bytes_before=before)
    return Difference(part, None, blocks[common].kind, blocks[common].excerpt, before)


def _in_messages(messages: Sequence[MessageFacts], marks: Marks, common: int, before: int) -> Difference:
    index = bisect_right(marks.block_counts, common)
    before += marks.sizes[index - 1] if index else 0
    if index == len(messages):
        return Difference("messages", index, bytes_before=before)
    inside = common - (marks.block_counts[index - 1] if index else 0)
    block = messages[index].blocks[inside]
    return Difference("messages", index, block.kind, block.excerpt, before + _size(messages[index].blocks[:inside]))


def _common_blocks(one: bytes, other: bytes) -> int:
    low, high = 0, min(len(one), len(other)) // DIGEST_BYTES
    while low < high:
        middle = (low + high + 1) // 2
        if one[: middle * DIGEST_BYTES] == other[: middle * DIGEST_BYTES]:
            low = middle
        else:
            high = middle - 1
    return low


def _digests(blocks: Sequence[ContentBlock]) -> bytes:
    return b"".join([block.digest for block in blocks])


def _size(blocks: Sequence[ContentBlock]) -> int:
    return sum([block.size_bytes for block in blocks])
