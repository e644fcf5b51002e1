"""[pure] The public contract between the recorder and everything that reads a recording."""

from .codec import decode_event, encode_event
from .types import SCHEMA_VERSION, Event

__all__ = ["SCHEMA_VERSION", "Event", "decode_event", "encode_event"]
