"""Connections of the explorer: their number, and the time that a client may keep one waiting."""

import asyncio
import json
import logging

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS, IDLE_SECONDS = 256, 10
REFUSAL = json.dumps({"detail": "The explorer has too many connections; try again in a minute."})
HEAD = (
    "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n"
    f"content-length: {len(REFUSAL)}\r\nconnection: close\r\n\r\n"
)


class LimitedProtocol(H11Protocol):
    """HTTP connection that is closed when its client owes a request and sends nothing."""

    timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore
        super().connection_made(transport)
        self.logger.setLevel(logging.ERROR)  # a warning for each request that is no HTTP
        if len(self.connections) > MAX_CONNECTIONS:
            transport.write((HEAD + REFUSAL).encode())
            transport.close()
        self.restart_timer()

    def data_received(self, data: bytes) -> None:
        self.restart_timer()
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.timer:
            self.timer.cancel()
        super().connection_lost(exc)

    def restart_timer(self) -> None:
        if self.timer:
            self.timer.cancel()
        self.timer = self.loop.call_later(IDLE_SECONDS, self.close_idle)

    def close_idle(self) -> None:
        if self.conn.their_state in (h11.IDLE, h11.SEND_BODY):  # not while it awaits a response
            self.transport.abort()
