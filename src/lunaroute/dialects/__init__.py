"""Wire formats: bytes of requests and responses → neutral facts. One package per format, same files in each."""

from lunaroute.dialects.detect import detect_format, dialect_of
from lunaroute.dialects.dialect import DialectReader, StreamReader
from lunaroute.dialects.reading import (
    framing_of,
    read_answer,
    read_framed_body,
    read_messages,
    read_request_body,
    read_response_body,
    reader_for,
)

__all__ = [
    "DialectReader",
    "StreamReader",
    "detect_format",
    "dialect_of",
    "framing_of",
    "read_answer",
    "read_framed_body",
    "read_messages",
    "read_request_body",
    "read_response_body",
    "reader_for",
]
