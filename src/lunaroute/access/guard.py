"""The guard as ASGI middleware, and the headers that every answer gets.

A browser gets the token once, in the address it is opened with (`?token=…`); the guard puts it into a cookie that only
this server sees and no script reads, and sends the browser to the same address without it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Set
from typing import Any
from urllib.parse import parse_qsl, urlencode

from .policy import COOKIE, AccessPolicy, Asked, Verdict

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""Nothing from anywhere else, no script or style within a page.

Without `require-trusted-types-for 'script'`: htmx puts the dashboard's HTML in by `innerHTML`, which that forbids.
"""

HEADERS = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)
_DEFAULTS = ((b"cache-control", b"no-store"),)
"""Set where the application says nothing."""
_DROPPED = frozenset(
    {name for name, _ in HEADERS} | {b"access-control-allow-origin", b"access-control-allow-credentials"}
)
_POLICY_VIOLATION = 1008
_NO_COOKIE = (b"set-cookie", f"{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0".encode())
_ENDS: dict[str, Message] = {
    "http.response.body": {"type": "http.response.body", "body": b""},
    "websocket.send": {"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": ""},
}
TENANT = "lunaroute.tenant"
"""In the scope that the application gets: the one whose recordings it may show; None = everybody's."""

_REASONS = {
    Verdict.MISDIRECTED: "This is not a name of this server.",
    Verdict.FOREIGN: "A page from elsewhere cannot read recordings.",
    Verdict.UNKNOWN: "A token is needed: open the address that the server printed at its start.",
}


class AccessGuard:
    """Lets through to `app` what the policy lets pass, and for as long as it does."""

    def __init__(self, app: App, policy: Callable[[], AccessPolicy], open_paths: Set[str] = frozenset()) -> None:
        """`policy` gives the one of the moment, the same object until there is another; `open_paths` may be read
        without a token: the application says nothing of recordings there."""
        self._app = app
        self._policy = policy
        self._open_paths = open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] not in ("http", "websocket"):
            raise ValueError(f"no such thing is served: {scope['type']}")
        asked, policy = _asked(scope), self._policy()
        verdict = policy.judge(asked)
        if verdict is Verdict.UNKNOWN and (found := _token_in_address(scope, asked, policy)) is not None:
            await _send_away(send, *found, is_secure=asked.scheme == "https")
        elif verdict is Verdict.PASS:
            await self._pass(scope, receive, send, asked, policy)
        elif verdict is Verdict.UNKNOWN and self._is_open(scope, asked):
            await self._app({**scope, TENANT: policy.tenant_of(asked)}, receive, _with_headers(send))
        else:
            await _refuse(scope, receive, send, verdict)

    async def _pass(self, scope: Scope, receive: Receive, send: Send, asked: Asked, policy: AccessPolicy) -> None:
        """A stream ends when the token that it was asked with is taken back."""
        is_over, tenant, guarded = False, policy.tenant_of(asked), _with_headers(send)

        async def send_while_allowed(message: Message) -> None:
            nonlocal is_over
            now = self._policy()
            if now is not policy and _goes_on(message) and not _shows(now, asked, tenant):
                is_over = True
                await guarded(_ENDS[message["type"]])
                raise OSError("the token was taken back")  # as ASGI tells of a client that has gone
            await guarded(message)

        try:
            await self._app({**scope, TENANT: tenant}, receive, send_while_allowed)
        except Exception:
            if not is_over:
                raise

    def _is_open(self, scope: Scope, asked: Asked) -> bool:
        return not asked.is_websocket and asked.method in ("GET", "HEAD") and scope["path"] in self._open_paths


def _token_in_address(scope: Scope, asked: Asked, policy: AccessPolicy) -> tuple[str, str] | None:
    """Where to send a browser that brings a token in the query, and the token; None where it does not."""
    if asked.is_websocket or asked.method != "GET":
        return None
    fields = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
    token = next((value for name, value in fields if name == "token" and policy.is_token(value)), None)
    if token is None:
        return None
    rest = urlencode([(name, value) for name, value in fields if name != "token"])
    path = scope.get("raw_path") or scope["path"].encode()
    # One slash: `//host/` would be another server's.
    place = "/" + path.decode("latin-1").lstrip("/\\")
    return f"{place}?{rest}" if rest else place, token


def _shows(policy: AccessPolicy, asked: Asked, tenant: str | None) -> bool:
    """Whether the policy lets a request see what it was let see before."""
    return policy.judge(asked) is Verdict.PASS and policy.tenant_of(asked) == tenant


def _goes_on(message: Message) -> bool:
    return message["type"] == "websocket.send" or bool(message.get("more_body"))


def _asked(scope: Scope) -> Asked:
    values: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        values.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    is_websocket = scope["type"] == "websocket"
    scheme = "https" if scope.get("scheme", "http") in ("https", "wss") else "http"
    return Asked(
        method="GET" if is_websocket else scope["method"],
        scheme=scheme,
        hosts=values.get("host", []),
        origin=_one(values.get("origin")),
        fetch_site=_one(values.get("sec-fetch-site")),
        fetch_mode=_one(values.get("sec-fetch-mode")),
        authorization=_one(values.get("authorization")),
        cookie="; ".join(values.get("cookie", [])),
        is_websocket=is_websocket,
    )


def _one(values: list[str] | None) -> str | None:
    """Several are as good as a wrong one."""
    return None if not values else ", ".join(values).strip().lower() if len(values) > 1 else values[0].strip()


def _with_headers(send: Send) -> Send:
    async def send_guarded(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            given = [(name, value) for name, value in message.get("headers", []) if name.lower() not in _DROPPED]
            names = {name.lower() for name, _ in given}
            given += (field for field in _DEFAULTS if field[0] not in names)
            message = {**message, "headers": [*given, *HEADERS]}
        await send(message)

    return send_guarded


async def _refuse(scope: Scope, receive: Receive, send: Send, verdict: Verdict) -> None:
    if scope["type"] == "websocket":
        await receive()  # the handshake
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": ""})
        return
    # A cookie that is good for nothing goes, or a browser would bring it until it is closed.
    more = [(b"www-authenticate", b"Bearer"), _NO_COOKIE] if verdict is Verdict.UNKNOWN else []
    await _answer(send, verdict.value, more, _REASONS[verdict].encode() + b"\n")


async def _send_away(send: Send, place: str, token: str, *, is_secure: bool) -> None:
    cookie = f"{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict" + ("; Secure" if is_secure else "")
    await _answer(send, 303, [(b"location", place.encode("latin-1")), (b"set-cookie", cookie.encode())], b"")


async def _answer(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    fields = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body)), *headers]
    guarded = _with_headers(send)
    await guarded({"type": "http.response.start", "status": status, "headers": fields})
    await guarded({"type": "http.response.body", "body": body})
