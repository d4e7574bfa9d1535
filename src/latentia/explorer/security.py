"""Checks of every request before it is read: its host, origin, length, type and token."""

import hmac
import re

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "::1")
LOOPBACK_HEADER = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d*)?", re.IGNORECASE)
MAX_BODY_BYTES = 12 * 2**20  # an image of 8 MiB in base64 takes 10.7 MiB
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


class SecurityMiddleware:
    """ASGI middleware that refuses requests of other pages and of unknown clients.

    On loopback another page could reach this server under its own name (DNS rebinding) or post to
    it. Host must therefore be a name of this machine and Origin, if given, this server. On any
    other address every request needs the token, first in the query and then as a cookie.
    """

    def __init__(self, app: ASGIApp, host: str, token: str | None = None):
        self.app, self.token = app, token
        self.is_loopback = host in LOOPBACK

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        cookies, app, request = {}, self.app, Request(scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
                for name, value in cookies.items():
                    text = f"{name}={value}; HttpOnly; SameSite=Strict; Path=/"
                    MutableHeaders(scope=message).append("set-cookie", text)
            await send(message)

        try:
            cookies = self.check_request(request)
        except HTTPException as refusal:
            content, close = {"detail": refusal.detail}, {"connection": "close"}
            app = JSONResponse(content, refusal.status_code, close)
        await app(scope, receive, send_with_headers)

    def check_request(self, request: Request) -> dict[str, str]:
        """Return the cookie to set with the response, if any.

        Raises: HTTPException if the request is not allowed
        """
        host, origin = request.headers.get("host", ""), request.headers.get("origin")
        if self.is_loopback and not LOOPBACK_HEADER.fullmatch(host):
            text = f"This server answers to 127.0.0.1 or localhost, not to {host!r}."
            raise HTTPException(403, text)
        if origin not in (None, f"http://{host}", f"https://{host}"):
            text = f"This server answers its own page only, not one of {origin!r}."
            raise HTTPException(403, text)
        if request.method == "POST":
            check_body(request)
        if self.token is None:
            return {}
        # by the port too, since browsers share cookies between ports of a host
        name = f"latentia-{(request.scope.get('server') or ('', 0))[1]}"
        if tokens_match(request.query_params.get("token", ""), self.token):
            return {name: self.token}
        if not tokens_match(request.cookies.get(name, ""), self.token):
            text = "This server needs its token; open the address that it printed."
            raise HTTPException(401, text)
        return {}


def check_body(request: Request) -> None:
    """Raises: HTTPException if the body is not JSON of a known and limited length"""
    length = request.headers.get("content-length", "")
    if not length.isdecimal():  # chunks, whose number has no limit
        raise HTTPException(411, "The request does not say its length; send Content-Length.")
    if int(length) > MAX_BODY_BYTES:
        text = f"The request has {length} bytes; at most {MAX_BODY_BYTES:,} are read."
        raise HTTPException(413, text)
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "The request is not application/json; send JSON.")


def tokens_match(candidate: str, token: str) -> bool:
    """Compare in constant time, so that the duration does not reveal where they differ."""
    return hmac.compare_digest(candidate.encode(), token.encode())
