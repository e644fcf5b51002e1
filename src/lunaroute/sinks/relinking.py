"""Lines of a session file, some of them changed, so that each still names the one before it (`prev`).

In: lines, what becomes of each. Out: the new lines. A link that was right is made right; one that was wrong stays so:
who rewrites a file must not hide that somebody else changed it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec

from lunaroute.events.chain import link_of_line

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.Encoder().encode


def relinked(lines: Iterable[bytes], change: Callable[[int, bytes], bytes]) -> Iterator[bytes]:
    """`change(number, line)` gives the line that takes the place of one; both without newlines, numbers from 0."""
    links: tuple[str, str] | None = None  # of the line before, as it was and as it is, where these differ
    for number, line in enumerate(lines):
        new = change(number, line)
        if links is not None:
            new = _with_link(new, *links)
        links = None if new == line else (link_of_line(line), link_of_line(new))
        yield new


def _with_link(line: bytes, old: str, new: str) -> bytes:
    fields = _fields.decode(line)
    if fields.get("prev") != msgspec.Raw(_encode(old)):
        return line
    fields["prev"] = msgspec.Raw(_encode(new))
    return _encode(fields)
