"""A small receiver of OTLP over HTTP, as strict as the protocol, which does what a test tells it."""

from __future__ import annotations

import gzip
import http.server
import threading
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class OtlpReceiver:
    """`statuses` are what the next requests for traces are answered with; after them, 200."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.metrics: list[dict[str, Metric]] = []
        self.headers: list[dict[str, str]] = []
        self.statuses: list[int] = []
        self.poison = ""
        """A message with a span of this name is answered 400."""
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = gzip.decompress(self.rfile.read(int(self.headers["content-length"])))
                assert self.headers["content-type"] == "application/x-protobuf"
                status = outer.take(self.path, body, {name.lower(): value for name, value in self.headers.items()})
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def take(self, path: str, body: bytes, headers: dict[str, str]) -> int:
        self.headers.append(headers)
        if path == "/v1/metrics":
            request = ExportMetricsServiceRequest.FromString(body)
            found = request.resource_metrics[0].scope_metrics[0].metrics
            self.metrics.append({metric.name: metric for metric in found})
            return 200
        if self.statuses:
            return self.statuses.pop(0)
        spans = ExportTraceServiceRequest.FromString(body).resource_spans[0].scope_spans[0].spans
        if any(span.name == self.poison for span in spans):
            return 400
        self.spans += spans
        return 200

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def attributes_of(found: Any) -> dict[str, Any]:
    """Of a span or a data point."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in found.attributes}
