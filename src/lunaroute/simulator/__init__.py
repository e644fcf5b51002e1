"""A simulated LLM provider: four dialects, believable streams, every failure on request, and a ledger of the
truth.

Run it with `python -m lunaroute.simulator`, or from Python with `start_simulator()`. How to ask for
failures is documented in `directives`, how to say what the model does in `cues`.
"""

from lunaroute.simulator.launch import RunningSimulator, start_simulator
from lunaroute.simulator.ledger import LedgerCall, LedgerEntry

__all__ = ["LedgerCall", "LedgerEntry", "RunningSimulator", "start_simulator"]
