"""[pure] What exchanges cost, by the price table of the time (genai-prices, imported on first use)."""

from .adding import add_parts, add_priced, total_of
from .cost import PICODOLLARS, CostParts, CostSums
from .misses import miss_picodollars
from .price_request import PriceRequest
from .pricer import Pricer

__all__ = [
    "PICODOLLARS",
    "CostParts",
    "CostSums",
    "PriceRequest",
    "Pricer",
    "add_parts",
    "add_priced",
    "miss_picodollars",
    "total_of",
]
