"""[pure] Which exchanges belong together: identity, life cycle of sessions, tool calls and their results."""

from .client import Client, identify_client
from .clues import Clues, Identity, ThreadKind
from .ended import EndedExchange
from .headers import HeaderTexts, header_texts
from .lifecycle import SessionBook
from .moments import elapsed_ns, instant
from .placement import locate
from .remembering import remember_request, remember_response
from .state import Ending, EndReason, Instant, OpenExchange, PairedCall, PendingCall, Session
from .tools import call_ids, pair_results, remember_calls, repeated_calls, settle
from .verdict import Confidence, Verdict, verdict_of

__all__ = [
    "Client",
    "Clues",
    "Confidence",
    "EndReason",
    "EndedExchange",
    "Ending",
    "HeaderTexts",
    "Identity",
    "Instant",
    "OpenExchange",
    "PairedCall",
    "PendingCall",
    "Session",
    "SessionBook",
    "ThreadKind",
    "Verdict",
    "call_ids",
    "elapsed_ns",
    "header_texts",
    "identify_client",
    "instant",
    "locate",
    "pair_results",
    "remember_calls",
    "remember_request",
    "remember_response",
    "repeated_calls",
    "settle",
    "verdict_of",
]
