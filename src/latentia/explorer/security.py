"""Checks of every request before it is read: its host, origin, length, type and token."""

import hmac
import json
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

LOOPBACK = ("127.0.0.1", "localhost", "::1")
MAX_BODY_BYTES = 12 * 2**20  # an image of 8 MiB in base64 takes 10.7 MiB
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)


Headers = list[tuple[bytes, bytes]]


class RequestRefused(Exception):
    """A refused request; arguments: HTTP status and message."""


class SecurityMiddleware:
    """ASGI middleware that refuses requests of other pages and of unknown clients.

    On loopback another page could reach this server under its own name (DNS rebinding) or post to
    it. Host must therefore be a name of this machine and Origin, if given, this server. On any
    other address every request needs the token, first in the query and then as a cookie.
    """

    def __init__(self, app: Any, host: str, token: str | None = None):
        self.app, self.token = app, token
        self.is_loopback = host in LOOPBACK

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        pairs = scope["headers"]
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in pairs}
        extra_headers = list(HEADERS)

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *extra_headers]
            await send(message)

        try:
            extra_headers += self.check_request(scope, headers)
            await self.app(scope, receive, send_with_headers)
        except RequestRefused as refusal:
            status, text = refusal.args
            start = {"type": "http.response.start", "status": status}
            start["headers"] = [(b"content-type", b"application/json"), (b"connection", b"close")]
            await send_with_headers(start)
            body = json.dumps({"detail": text}).encode()
            await send_with_headers({"type": "http.response.body", "body": body})

    def check_request(self, scope: dict[str, Any], headers: dict[str, str]) -> Headers:
        """Return headers to add to the response.

        Raises: RequestRefused if the request is not allowed
        """
        host, origin = headers.get("host", ""), headers.get("origin")
        if self.is_loopback and parse_host_name(host) not in LOOPBACK:
            text = f"This server answers to 127.0.0.1 or localhost, not to {host!r}."
            raise RequestRefused(403, text)
        if origin is not None and urlsplit(origin).netloc != host:
            text = f"This server answers its own page only, not one of {origin!r}."
            raise RequestRefused(403, text)
        if scope["method"] == "POST":
            length = headers.get("content-length", "")
            if not length.isdecimal():  # chunks, whose number has no limit
                text = "The request does not say its length; send Content-Length."
                raise RequestRefused(411, text)
            if int(length) > MAX_BODY_BYTES:
                text = f"The request has {length} bytes; at most {MAX_BODY_BYTES:,} are read."
                raise RequestRefused(413, text)
            if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
                raise RequestRefused(415, "The request is not application/json; send JSON.")
        if self.token is None:
            return []
        query_token = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        name = f"latentia-{(scope.get('server') or ('', 0))[1]}"
        if tokens_match(query_token, self.token):
            cookie = f"{name}={self.token}; HttpOnly; SameSite=Strict; Path=/"
            return [(b"set-cookie", cookie.encode())]
        if tokens_match(parse_cookies(headers.get("cookie", "")).get(name, ""), self.token):
            return []
        raise RequestRefused(401, "This server needs its token; open the address that it printed.")


def parse_host_name(host: str) -> str:
    """Return the name in a Host header, without the port; empty if it has none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def parse_cookies(text: str) -> dict[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(text).items()}
    except CookieError:
        return {}


def tokens_match(candidate: str, token: str) -> bool:
    """Compare in constant time, so that the duration does not reveal where they differ."""
    return hmac.compare_digest(candidate.encode(), token.encode())
