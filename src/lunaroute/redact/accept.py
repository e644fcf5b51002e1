"""What a pattern alone cannot tell: whether a match is what it looks like.

Each check takes the text and the place of the match in it, and says whether the match counts.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

Check = Callable[[bytes, int, int], bool]

_DIGITS = re.compile(rb"[0-9]")
_PLACEHOLDER = re.compile(
    rb"(?i)\[redacted|\$|%[a-z({]|<|\{|\*{3}|x{4}|\.\.\.|your|example|changeme|placeholder|redacted|"
    rb"(?:os|process|env|config|settings|self|this|getenv|secrets?|import|string|str|int|bool|none|null|true|false|"
    rb"undefined|required|optional)\b"
)
_FILE_OR_CALL = re.compile(rb"[\w.]+\(|(?:\.{0,2}/|~/)[\w./-]+$")
_PRODUCT = re.compile(rb"[A-Za-z]/$|[vV]$|[0-9A-Za-z]\.$")


def has_digit(text: bytes, start: int, end: int) -> bool:
    """Words of a language have none; random characters hardly ever do without."""
    return _DIGITS.search(text, start, end) is not None


def is_random(text: bytes, start: int, end: int) -> bool:
    """Digits and letters, and no placeholder."""
    value = text[start:end]
    return has_digit(text, start, end) and not value.isdigit() and not_a_placeholder(text, start, end)


def not_a_placeholder(text: bytes, start: int, end: int) -> bool:
    """Not a variable, a call, a path or a word that stands for a secret to be filled in."""
    value = text[start:end]
    return _PLACEHOLDER.match(value) is None and _FILE_OR_CALL.match(value) is None


def is_mailbox(text: bytes, start: int, end: int) -> bool:
    """Not `git@host:`, which is the same for everybody, and not the part of a URL that names a user."""
    return text[start : start + 4] != b"git@" and text[start - 3 : start] != b"://"


def is_card(text: bytes, start: int, end: int) -> bool:
    """ISO/IEC 7812-1, Annex B (Luhn), and not part of a longer row of digits."""
    if text[max(0, start - 1) : start] in (b"-", b"."):
        return False
    total = 0
    for place, digit in enumerate(reversed(_digits(text, start, end))):
        doubled = digit * 2 if place % 2 else digit
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


def is_ssn(text: bytes, start: int, end: int) -> bool:
    """The Social Security Administration gives out no area 000, 666 or 9xx, no group 00 and no serial 0000."""
    area, group, serial = text[start : start + 3], text[start + 4 : start + 6], text[end - 4 : end]
    is_given_out = area not in (b"000", b"666") and not area.startswith(b"9") and group != b"00" and serial != b"0000"
    return is_given_out and _stands_alone(text, start, end)


def is_phone(text: bytes, start: int, end: int) -> bool:
    """E.164 allows 15 digits; fewer than 8 are no number that can be reached from everywhere."""
    return 8 <= len(_digits(text, start, end)) <= 15 and _stands_alone(text, start, end)


def is_address(text: bytes, start: int, end: int) -> bool:
    """An address of some machine, not loopback, and not a version number such as `Chrome/126.0.0.0`."""
    value = text[start:end].decode("ascii")
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return False
    if address.is_loopback or address.is_unspecified:
        return False
    if address.version == 6:
        return value.count(":") >= 3 and _DIGITS.search(value.encode()) is not None
    before = text[max(0, start - 2) : start]
    return _PRODUCT.search(before) is None and not value.endswith(".0.0") and text[end : end + 2][:1] != b"."


def _digits(text: bytes, start: int, end: int) -> list[int]:
    return [byte - 48 for byte in text[start:end] if 48 <= byte <= 57]


def _stands_alone(text: bytes, start: int, end: int) -> bool:
    """No further digits or letters are joined to it."""
    before, after = text[max(0, start - 1) : start], text[end : end + 2]
    return (
        not (before.isalnum() and text[max(0, start - 2) : start - 1] != b"\\")
        and before not in (b"-", b".", b"_")
        and not (after[:1] in (b"-", b".") and after[1:].isalnum())
    )


CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (has_digit, is_random, not_a_placeholder, is_mailbox, is_card, is_ssn, is_phone, is_address)
}
