"""[pure] What to do with a request, worked out once for all requests with the same head.

A client sends the same head over and over; only the digits of Content-Length change. A plan is looked up by the
head's bytes with those digits cut out, so a repeated head costs one search and one dictionary look-up, and a new
one the full, strict reading (`heads`).
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from lunaroute.capture.records import Opening

from .credentials import Fingerprinter
from .headers import Kind, LineReader, forwarded_lines
from .heads import RequestHead, read_request_head
from .limits import LimitBook, TenantLimit
from .routes import Route, Router
from .tenants import TenantRules

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,18})[ \t]*\r\n", re.IGNORECASE)
_MOST = 2048
OWN_PREFIX = "/lunaroute/"
"""Of what the relay answers by itself; nothing below it ever goes to a provider."""


class RequestPlan(msgspec.Struct, frozen=True):
    head: RequestHead
    """Of the first request with this head; its `body` length is not to be used for the others."""
    route: Route | None
    """None: no provider is configured for it."""
    before: bytes
    after: bytes
    """The head for the provider, around the digits of the content length."""
    opening: bytes
    """What the record of the request's opening says of the head, encoded."""
    limit: TenantLimit | None = None
    """What its tenant may send; None = anything."""
    own: str = ""
    """What of the relay itself is asked for: the path below OWN_PREFIX. Nothing else is, where this is not empty."""


class Planner:
    """Plans by head, bounded."""

    def __init__(
        self,
        router: Router,
        lines: LineReader,
        fingerprint: Fingerprinter,
        tag_headers: frozenset[bytes],
        tenants: TenantRules,
        limits: LimitBook,
        encode_opening: Callable[[Opening], bytes],
    ) -> None:
        self._router = router
        self._lines = lines
        self._fingerprint = fingerprint
        self._tag_headers = tag_headers
        self._tenants = tenants
        self._limits = limits
        self._encode_opening = encode_opening
        self._plans: dict[bytes, RequestPlan] = {}

    def plan(self, head: bytes) -> tuple[RequestPlan, bytes]:
        """The plan for a whole head (with its empty line), and the digits of its content length (or nothing).

        Raises BadHead."""
        match = _LENGTH.search(head)
        if match is None:
            key, digits = head, b""
        else:
            start, end = match.span(1)
            # Without its last CRLF, so that it is no whole head: not that of an empty Content-Length, which is refused.
            key, digits = head[:start] + head[end:-2], match[1]
        plan = self._plans.get(key)
        if plan is None:
            plan = self._make(head, digits)
            if plan.head.wants_websocket:  # its key is new each time
                return plan, digits
            if len(self._plans) >= _MOST:
                self._plans.clear()
            self._plans[key] = plan
        return plan, digits

    def _make(self, head_bytes: bytes, digits: bytes) -> RequestPlan:
        head = read_request_head(head_bytes, self._lines)
        path = head.target.partition("?")[0]
        if path.startswith(OWN_PREFIX):
            return RequestPlan(head, None, b"", b"", b"", own=path[len(OWN_PREFIX) :] or "/")
        route = self._router.route(head.target, head.lines)
        if route is None:
            return RequestPlan(head, None, b"", b"", b"")
        start = f"{head.method} {route.target} HTTP/".encode() + head.version
        host = route.upstream.host_header
        forwarded = forwarded_lines(head.lines, head.tokens, host, head.wants_websocket)
        if not any(line.kind is Kind.HOST for line in head.lines):  # HTTP/1.0 may come without
            forwarded.insert(0, b"Host: " + host)
        before, after = _cut_length(b"\r\n".join([start, *forwarded, b"", b""]), digits)
        value = next((line.value for line in head.lines if line.kind is Kind.CREDENTIAL), None)
        credential = None if value is None else self._fingerprint(value)
        tenant, path_tags = self._tenants.find(head.lines, route.tags, credential)
        opening = self._opening(head, route, digits, credential, tenant, path_tags)
        return RequestPlan(head, route, before, after, opening, self._limits.of(tenant))

    def _opening(
        self,
        head: RequestHead,
        route: Route,
        digits: bytes,
        credential: str | None,
        tenant: str | None,
        path_tags: list[str],
    ) -> bytes:
        lines = head.lines
        tags = [line.value.decode("latin-1") for line in lines if line.name in self._tag_headers]
        recorded = b"\r\n".join([b"", *(line.recorded for line in lines), b""])
        before, after = _cut_length(recorded, digits)
        return self._encode_opening(
            Opening(
                listener=route.listener,
                provider=route.upstream.name,
                method=head.method,
                target=self._fingerprint.clean_target(head.target),
                path=route.path,
                http_version=head.version.decode(),
                header_lines=(before + after)[2:-2] if lines else b"",
                session_tags=path_tags + tags,
                credential=credential,
                tenant=tenant,
                length_at=len(before) - 2 if digits else -1,
            )
        )


def _cut_length(text: bytes, digits: bytes) -> tuple[bytes, bytes]:
    """`text` around its content length; all of it and nothing when it has none."""
    match = _LENGTH.search(text) if digits else None
    return (text, b"") if match is None else (text[: match.start(1)], text[match.end(1) :])
