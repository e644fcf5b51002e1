"""Wire formats: bytes of requests and responses → neutral facts. One package per dialect, same files in each."""

from lunaroute.dialects.detect import detect_dialect
from lunaroute.dialects.dialect import DialectReader, StreamReader
from lunaroute.dialects.reading import is_event_stream, read_response_body, reader_for

__all__ = [
    "DialectReader",
    "StreamReader",
    "detect_dialect",
    "is_event_stream",
    "read_response_body",
    "reader_for",
]
