"""Running marks beside a list of messages: what stands for all of them up to each one.

A client re-sends its history, and a reader that knows the beginning of a list (`resent`) goes on from its marks: long
histories cost what is new in them. In: messages, and the marks of those before. Out: marks; they depend on nothing
but the messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from lunaroute.dialects.facts import Marks, MessageFacts, RequestFacts

NO_MARKS = Marks()
DIGEST_BYTES = 8


def marked(messages: Sequence[MessageFacts], before: Marks = NO_MARKS) -> Marks:
    """The marks of `before`'s messages with these behind them."""
    chain, sizes, counts = list(before.chain), list(before.sizes), list(before.block_counts)
    value = chain[-1] if chain else b""
    size = sizes[-1] if sizes else 0
    digests = [before.blocks]
    count = counts[-1] if counts else 0
    for message in messages:
        value = linked(value, message)
        size += message.size_bytes
        count += len(message.blocks)
        digests += [block.digest for block in message.blocks]
        chain.append(value)
        sizes.append(size)
        counts.append(count)
    return Marks(chain, sizes, counts, b"".join(digests))


def marks_of(facts: RequestFacts) -> Marks:
    """Those that the request's reader made, or the same made now."""
    return facts.marks if len(facts.marks.chain) == len(facts.messages) else marked(facts.messages)


def first_of(marks: Marks, count: int) -> Marks:
    """The marks of the first so many messages."""
    if not count:
        return NO_MARKS
    blocks = marks.blocks[: marks.block_counts[count - 1] * DIGEST_BYTES]
    return Marks(marks.chain[:count], marks.sizes[:count], marks.block_counts[:count], blocks)


def linked(value: bytes, message: MessageFacts) -> bytes:
    """The chain's value with one more message; one that says nothing changes nothing."""
    return value if message.digest is None else blake2b(value + message.digest, digest_size=16).digest()
