"""One OTLP request: protobuf, gzip, POST; and what the answer means (OTLP's specification, "OTLP/HTTP Response").

In: an address and a message. Out: nothing when it was taken; NotTaken when it may be taken later; Refused when the same
message never will be.
"""

from __future__ import annotations

import gzip
import http.client
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

_MOST_ANSWER_BYTES = 65536
_NEVER = frozenset({400, 413, 422})
"""The receiver cannot read this message. All other refusals are about the moment, or about settings: address, key."""


class NotTaken(OSError):
    """The receiver is down, busy, or does not let us in: the same again, later."""


class Refused(Exception):
    """The receiver does not understand this message, and will not."""


class Receiver:
    """Where requests go."""

    def __init__(self, endpoint: str, headers: Mapping[str, str], timeout_s: float) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._timeout_s = timeout_s
        self._headers = {
            "content-type": "application/x-protobuf",
            "content-encoding": "gzip",
            "user-agent": "lunaroute-otlp",
            **{name.lower(): value for name, value in headers.items()},
        }

    def post(self, signal: str, message: bytes) -> None:
        """`signal` is `traces` or `metrics`. Raises NotTaken, Refused."""
        url = f"{self._endpoint}/v1/{signal}"
        request = urllib.request.Request(url, gzip.compress(message, 6), self._headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=self._timeout_s) as answer:
                _say_partial(signal, answer.read(_MOST_ANSWER_BYTES))
        except urllib.error.HTTPError as error:
            with error:
                text = error.read(500).decode("utf-8", "replace").strip()
            problem = f"{url} answered {error.code}: {text or error.reason}"
            raise (Refused if error.code in _NEVER else NotTaken)(problem) from None
        except (OSError, http.client.HTTPException) as error:
            raise NotTaken(f"{url}: {error}") from error


def _say_partial(signal: str, body: bytes) -> None:
    """What a receiver took in part is not to be sent again; somebody should know. Both signals answer alike."""
    try:
        partial = ExportTraceServiceResponse.FromString(body).partial_success
    except Exception:  # an answer of some other form: it was a success all the same
        return
    if partial.rejected_spans or partial.error_message:
        what = f"{partial.rejected_spans} of the {signal} were rejected: {partial.error_message}"
        print(f"lunaroute: otlp: {what}", file=sys.stderr, flush=True)
