"""[pure] What exchanges cost, by the price table of the time (genai-prices, imported on first use)."""

from .cost import PICODOLLARS, CostParts, CostSums
from .misses import miss_picodollars
from .pricer import Pricer, PriceRequest

__all__ = ["PICODOLLARS", "CostParts", "CostSums", "PriceRequest", "Pricer", "miss_picodollars"]
