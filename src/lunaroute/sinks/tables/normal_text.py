"""[pure] A text as its words, for stores that have no full-text index of SQLite's kind.

In: a text. Out: its words in lower case without accents, a space before and after each: ` was sagt er `. A phrase is in
the text where the phrase's own words, so written, are part of it. What a word is follows SQLite's `unicode61`, so that
every store finds the same: letters and digits belong to words, everything else stands between them.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_WORD: Final = re.compile(r"[^\W_]+")
_ACCENTS: Final = re.compile(r"[\u0300-\u036f]+")
_FOLDED: Final = str.maketrans({"µ": "μ", "ς": "σ", "ſ": "s"})
"""Letters that are another one's form, and lower already."""


def words_of(text: str) -> list[str]:
    """The words, in order."""
    if not text.isascii():
        # Letters that come apart into a letter and one accent; marks of other scripts stay what they are.
        text = _ACCENTS.sub("", unicodedata.normalize("NFD", text))
        text = unicodedata.normalize("NFC", text).translate(_FOLDED)
    return _WORD.findall(text.lower())


def normal_text(text: str) -> str:
    """The words with a space around each; empty where there is none."""
    words = words_of(text)
    return f" {' '.join(words)} " if words else ""
