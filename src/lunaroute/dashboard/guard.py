"""Who gets in, and what a page may do: an ASGI layer around the whole application.

- A `Host` that is not this machine is refused: a page of somebody else whose name was turned to 127.0.0.1 (DNS
  rebinding) still says its own name there.
- What changes something is refused from another origin.
- With a token (the dashboard listens beyond loopback) every request needs it: as a cookie, as `Authorization: Bearer`,
  or once as `?token=`, which sets the cookie.
- Each answer says that a page may load scripts, styles, fonts and data from here only, and nothing inline.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "lunaroute-token"
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
_READING = {"GET", "HEAD", "OPTIONS"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
_FOR_A_YEAR = "public, max-age=31536000, immutable"


class Guard:
    """`hosts`: names that `Host` may have; None = any, which needs a token."""

    def __init__(self, app: ASGIApp, *, hosts: Collection[str] | None, token: str | None) -> None:
        if hosts is None and token is None:
            raise ValueError("without a token the names of the host must be known")
        self._app, self._hosts, self._token = app, hosts, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    answer[name] = value
                answer.setdefault("cache-control", _keeping(scope))
            await send(message)

        refusal = self._refusal(scope, headers)
        await (refusal or self._app)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        host = headers.get("host", "")
        if self._hosts is not None and _name_of(host) not in self._hosts:
            return PlainTextResponse(f"{host[:100]!r} is not this dashboard\n", 421)
        if scope["method"] not in _READING and not _is_own_origin(headers, host):
            return PlainTextResponse("a page of another origin may change nothing here\n", 403)
        return None if self._token is None else self._without_token(scope, headers, self._token)

    def _without_token(self, scope: Scope, headers: Headers, token: str) -> Response | None:
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = dict(query).get("token", "")
        if scope["method"] == "GET" and _is_same(given, token):
            rest = urlencode([(name, value) for name, value in query if name != "token"])
            # A path of two slashes would lead to another host.
            path = "/" + scope["path"].lstrip("/")
            answer = RedirectResponse(path + (f"?{rest}" if rest else ""), 303)
            answer.set_cookie(COOKIE, token, httponly=True, samesite="strict", max_age=30 * 86400)
            return answer
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        cookie = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        if _is_same(bearer, token) or _is_same(cookie, token):
            return None
        return PlainTextResponse("open the address with ?token=… that `lunaroute serve` has printed\n", 401)


def _keeping(scope: Scope) -> str:
    """How long a browser may keep it: recordings not at all, our own files for as long as they are the same."""
    if not scope["path"].startswith("/static/"):
        return "no-store"
    return _FOR_A_YEAR if b"v=" in scope["query_string"] else "no-cache"


def _is_same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(), token.encode())


def _name_of(host: str) -> str:
    name = host.lower()
    return name if name.endswith("]") else name.rpartition(":")[0] or name


def _is_own_origin(headers: Headers, host: str) -> bool:
    """Programs send no Origin; browsers always do when they change something."""
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site", "none") in {"none", "same-origin"}
    return urlsplit(origin).netloc.lower() == host.lower()
