"""Where in a text something is that is not to be recorded.

In: bytes. Out: findings, in order, none overlapping another. All patterns are looked for in one pass; only those that
are there somewhere are then looked up one by one. Time is linear in the text (RE2).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec
import re2  # type: ignore[import-untyped]

from lunaroute.errors import ConfigError

from . import encoded
from .accept import CHECKS
from .known import KnownTexts
from .personal import PERSONAL_RULES
from .rule import Rule
from .rules import FORMS
from .settings import GROUPS, RedactionSettings
from .surroundings import SURROUNDINGS
from .unescape import Unescaped, has_odd_escapes, odd_windows

_REDACTED = re.compile(rb"\[redacted:[a-z0-9_-]+(?::[^\]]*)?\]")
_ESCAPE_LETTERS = b"nrtbf"
_MOST_LEVELS = 4
"""JSON within JSON within JSON: deeper than any client nests."""
_DIGITS = ("is_card", "is_ssn", "is_phone")
BASE64 = "base64"
"""In place of a rule: a text in base64 with something in it, of which only that is replaced."""
_BY_SURROUNDINGS = frozenset(
    {"environment", "assigned", "bearer", "basic", "cookie", "url_password", "aws_secret_key", BASE64}
)
_MEMORY_BYTES = 64 << 20
RULES = FORMS + SURROUNDINGS + PERSONAL_RULES


class Finding(msgspec.Struct, frozen=True, order=True):
    """A place in a text."""

    start: int
    end: int
    rule: str
    value: bytes
    """What stands there, escapes undone."""
    replacement: bytes | None = None
    """Where not the usual one."""


class Finder:
    """One for all texts. Raises ConfigError for an unknown rule or a pattern that RE2 does not take."""

    def __init__(self, settings: RedactionSettings) -> None:
        wanted = _wanted(settings.rules)
        own = [_own_rule(name, pattern) for name, pattern in settings.patterns.items()]
        self._rules = wanted + own
        self._last = {rule.name: rule.shown_last for rule in self._rules}
        self._patterns = [re2.compile(rule.pattern, _options()) for rule in self._rules]
        self._all = re2.Set.SearchSet(_options())
        for rule in self._rules:
            self._all.Add(rule.pattern)
        self._all.Compile()
        self._has_own = bool(own)
        self._known = KnownTexts()

    def shown_last(self, rule: str) -> int:
        """How many characters the mode `partial` leaves of what this rule found."""
        return self._last.get(rule, 0)

    def find(self, text: bytes) -> list[Finding]:
        """Everything in a text, or in what it says in escapes or in base64."""
        # What the user's own patterns match is not known, so nothing is known of what they depend on.
        shared = None if self._has_own else self._known.shared(text)
        if shared is None:
            found = self._find_all(text)
        else:
            rest = self._find_all(text[shared.start :])
            behind = (_moved(one, shared.start) for one in rest if one.end + shared.start > shared.end)
            found = [*shared.found, *behind]
        if not self._has_own:
            self._known.keep(text, found)
        return _without_redacted(text, found) if found else found

    def _find_all(self, text: bytes) -> list[Finding]:
        found = self._find_plain(text)
        found += self._find_escaped(text, _MOST_LEVELS)
        for start, end, decoded in encoded.texts_in(text):
            if self._find_plain(decoded):
                found.append(Finding(start, end, BASE64, text[start:end]))
        return _merged(found) if found else found

    def _find_plain(self, text: bytes) -> list[Finding]:
        # RE2 names what matches in an order of its own; of two rules for the same place, the first in the list counts.
        return [finding for number in sorted(self._all.Match(text) or ()) for finding in self._matches(number, text)]

    def _find_escaped(self, text: bytes, levels: int) -> list[Finding]:
        """What shows only when escapes are undone: `\\/` and `\\u0040` in a word, and what own patterns look for."""
        if self._has_own and b"\\" in text:
            windows: Sequence[tuple[int, int]] = [(0, len(text))]
        elif has_odd_escapes(text):
            windows = odd_windows(text)
        else:
            return []
        found: list[Finding] = []
        for start, end in windows:
            view = Unescaped(text[start:end])
            inner = self._find_plain(view.text)
            if levels > 1:
                inner += self._find_escaped(view.text, levels - 1)
            for one in inner:
                place = start + view.raw_start(one.start), start + view.raw_end(one.end)
                found.append(Finding(*place, one.rule, one.value))
        return found

    def _matches(self, number: int, text: bytes) -> Iterator[Finding]:
        rule, pattern = self._rules[number], self._patterns[number]
        check = None if rule.accept is None else CHECKS[rule.accept]
        place = 0
        while (match := pattern.search(text, place)) is not None:
            group = next((n for n in range(1, pattern.groups + 1) if match.start(n) >= 0), 0)
            start, end = match.span(group)
            place = max(match.end(), place + 1)
            start = _behind_escape(text, start, end)
            if start < end and (check is None or check(text, start, end)):
                yield Finding(start, end, rule.name, text[start:end])
            elif rule.accept in _DIGITS:
                place = match.start() + 1  # what counts may begin within what does not


def _options() -> re2.Options:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    options.max_mem = _MEMORY_BYTES
    return options


def _wanted(names: Sequence[str]) -> list[Rule]:
    known = {rule.name for rule in RULES} | set(GROUPS)
    for name in names:
        if name not in known:
            raise ConfigError(f"there is no redaction rule {name!r}; valid: {', '.join(sorted(known))}")
    return [rule for rule in RULES if rule.name in names or rule.group in names]


def _own_rule(name: str, pattern: str) -> Rule:
    if re.fullmatch(r"[a-z0-9_-]{1,40}", name) is None:
        raise ConfigError(f"{name!r} cannot be the name of a pattern; use a-z, 0-9, '_' and '-'")
    try:
        compiled = re2.compile(pattern.encode(), _options())
    except re2.error as error:
        raise ConfigError(f"the pattern {name!r} is not understood (RE2): {error}") from None
    if compiled.search(b"") is not None:
        raise ConfigError(f"the pattern {name!r} matches nothing at all, so it would match everywhere")
    return Rule(name, pattern.encode(), "custom")


def _behind_escape(text: bytes, start: int, end: int) -> int:
    """A match begins behind an escape, not in the middle of it: the `n` of `\\n` is no letter."""
    if start == 0 or text[start - 1] != 0x5C:
        return start
    if (
        text[start] == 0x75
        and start + 5 <= end
        and len(text[start + 1 : start + 5].strip(b"0123456789abcdefABCDEF")) == 0
    ):
        return start + 5
    return start + 1 if text[start] in _ESCAPE_LETTERS else start


def _moved(one: Finding, by: int) -> Finding:
    return Finding(one.start + by, one.end + by, one.rule, one.value)


def _merged(found: list[Finding]) -> list[Finding]:
    """One finding where several overlap, with the place of all of them and the name that says most."""
    found.sort(key=lambda one: (one.start, -one.end))
    merged = [found[0]]
    for one in found[1:]:
        last = merged[-1]
        if one.start >= last.end:
            merged.append(one)
            continue
        end = max(last.end, one.end)
        if last.rule in _BY_SURROUNDINGS and one.rule not in _BY_SURROUNDINGS:
            merged[-1] = msgspec.structs.replace(one, start=last.start, end=end)
        elif end > last.end:
            merged[-1] = msgspec.structs.replace(last, end=end, value=last.value + one.value[last.end - one.start :])
    return merged


def _without_redacted(text: bytes, found: list[Finding]) -> list[Finding]:
    """What stands in a secret's place already is none."""
    if b"[redacted:" not in text:
        return found
    spans = [match.span() for match in _REDACTED.finditer(text)]
    return [one for one in found if not any(one.start < end and start < one.end for start, end in spans)]
