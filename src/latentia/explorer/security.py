"""Who may ask, and how much: checked before any request is read, the page's own files included."""

import hmac
import json
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

LOOPBACK = ("127.0.0.1", "localhost", "::1")
MAX_BODY_BYTES = 12 * 2**20  # bytes of a request: an image of 8 MiB in base64, and room
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


class RequestRefused(Exception):
    """Status and the sentence that goes with it."""


class SecurityMiddleware:
    """ASGI middleware.

    On loopback a page elsewhere could be pointed at this server by name (DNS rebinding) or post to
    it: Host must be a name of this machine, Origin, where there is one, this server's own. Served
    to others, every request must bring the token, in the address once, then as a cookie.
    """

    def __init__(self, app: Any, host: str, token: str | None = None):
        self.app, self.token = app, token
        self.is_loopback = host in LOOPBACK

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in
                   scope["headers"]}  # fmt: skip
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
            body = json.dumps({"detail": text}).encode()
            refusal_headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
            await send_with_headers(
                {"type": "http.response.start", "status": status, "headers": refusal_headers}
            )
            await send_with_headers({"type": "http.response.body", "body": body})

    def check_request(
        self, scope: dict[str, Any], headers: dict[str, str]
    ) -> list[tuple[bytes, bytes]]:
        """Headers to add to the answer.

        Raises: Refused.
        """
        host, origin = headers.get("host", ""), headers.get("origin")
        if self.is_loopback and parse_host_name(host) not in LOOPBACK:
            raise RequestRefused(
                403, f"This server answers to 127.0.0.1 or localhost, not to {host!r}."
            )
        if origin is not None and urlsplit(origin).netloc != host:
            raise RequestRefused(
                403, f"This server answers its own page only, not one of {origin!r}."
            )
        if scope["method"] == "POST":
            length = headers.get("content-length", "")
            if not length.isdecimal():  # sent in pieces of any number
                raise RequestRefused(
                    411, "The request does not say its length; send Content-Length."
                )
            if int(length) > MAX_BODY_BYTES:
                raise RequestRefused(
                    413, f"The request has {length} bytes; at most {MAX_BODY_BYTES:,} are read."
                )
            if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
                raise RequestRefused(415, "The request is not application/json; send JSON.")
        if self.token is None:
            return []
        query_token = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        cookie_name = f"latentia-{(scope.get('server') or ('', 0))[1]}"
        if tokens_match(query_token, self.token):
            cookie_text = f"{cookie_name}={self.token}; HttpOnly; SameSite=Strict; Path=/"
            return [(b"set-cookie", cookie_text.encode())]
        if tokens_match(parse_cookies(headers.get("cookie", "")).get(cookie_name, ""), self.token):
            return []
        raise RequestRefused(401, "This server wants its token: open the address that it printed.")


def parse_host_name(host: str) -> str:
    """Of a Host header, without the port."""
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
    """In constant time: how long it takes says nothing of where they differ."""
    return hmac.compare_digest(candidate.encode(), token.encode())
