"""Prices of the user's own, from `[prices."provider/model"]` in config.toml; they go before the table's.

In: {"provider/model": {unit: US dollars}}, the units named as in the table (`input_mtok` = per million input tokens).
Out: rates. A model is named exactly, or by a pattern with `*`; the exact name wins, then the longest pattern.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal
from fnmatch import fnmatchcase

from .table import Rates, rates_of

Prices = Mapping[str, Mapping[str, float]]


class OwnPrices:
    """Looks up rates by provider and model, in any case."""

    def __init__(self, prices: Prices) -> None:
        self._rates = {key.lower(): _rates(units) for key, units in prices.items()}
        self._patterns = sorted((key for key in self._rates if "*" in key), key=len, reverse=True)
        self.digest = _digest(prices)
        """Changes with every price; empty where there is none."""

    def find(self, provider: str, model: str) -> Rates | None:
        """The rates for a model; None where the user has none for it."""
        name = f"{provider}/{model}".lower()
        if name in self._rates:
            return self._rates[name]
        return next((self._rates[pattern] for pattern in self._patterns if fnmatchcase(name, pattern)), None)


def _rates(units: Mapping[str, float]) -> Rates | None:
    # By way of text: the float 0.1 is not a tenth, and its digits are.
    return rates_of({unit: Decimal(str(dollars)) for unit, dollars in units.items()})


def _digest(prices: Prices) -> str:
    if not prices:
        return ""
    text = json.dumps({key: dict(units) for key, units in prices.items()}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
