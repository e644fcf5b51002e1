"""[pure] What exchanges cost, by the price table of the time (genai-prices, imported on first use)."""

from .cost import PICODOLLARS, CostParts, CostSums
from .misses import miss_picodollars
from .price_request import PriceRequest
from .pricer import Pricer

__all__ = ["PICODOLLARS", "CostParts", "CostSums", "PriceRequest", "Pricer", "miss_picodollars"]
