"""The page on redaction names every rule, and no other."""

from __future__ import annotations

import re

from lunaroute.redact.finder import RULES

from .snippets import REPOSITORY


def test_the_page_names_every_rule_and_no_other() -> None:
    text = (REPOSITORY / "docs" / "redaction.md").read_text(encoding="utf-8")
    names = text.partition("The names of all rules:")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", names)) == {rule.name for rule in RULES}
