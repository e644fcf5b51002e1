"""[pure] Which exchanges belong together: identity, life cycle of sessions, tool calls and their results."""

from .client import Client, identify_client
from .headers import HeaderTexts, header_texts
from .identity import Clues, Identity, LinkKind, identify
from .lifecycle import Ending, SessionBook
from .state import EndReason, Instant, OpenExchange, PendingCall, Session, elapsed_ns, instant
from .tools import PairedCall, pair_results, remember_calls, settle, succeeded

__all__ = [
    "Client",
    "Clues",
    "EndReason",
    "Ending",
    "HeaderTexts",
    "Identity",
    "Instant",
    "LinkKind",
    "OpenExchange",
    "PairedCall",
    "PendingCall",
    "Session",
    "SessionBook",
    "elapsed_ns",
    "header_texts",
    "identify",
    "identify_client",
    "instant",
    "pair_results",
    "remember_calls",
    "settle",
    "succeeded",
]
