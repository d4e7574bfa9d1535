"""From the command's words to a server that prints its address."""

import secrets
import socket
import threading
from collections.abc import Sequence

import uvicorn

from latentia.core.errors import Error
from latentia.data.splits import SPLIT_NAMES
from latentia.explorer.routes import create_application
from latentia.explorer.security import LOOPBACK, SecurityMiddleware
from latentia.explorer.session import RunSession
from latentia.explorer.worker import Worker


def serve_explorer(
    paths: list[str], data: str | None, split: str, host: str, ports: Sequence[int]
) -> None:
    """Serve on the first port that is free, until interrupted; port 0 is any free one.

    Raises: Error if one of the runs cannot be opened, or the address cannot be taken.
    """
    if split not in (*SPLIT_NAMES, "all"):
        raise Error(f"{split!r} is not a split; give one of {', '.join(SPLIT_NAMES)}, all.")
    worker = Worker()
    sessions = [RunSession.open(path, data, split, worker) for path in paths]
    token = None if host in LOOPBACK else secrets.token_urlsafe(24)
    server_socket = open_socket(host, ports)
    host_text = f"[{host}]" if ":" in host else host
    address = f"http://{host_text}:{server_socket.getsockname()[1]}/"
    print(address + (f"?token={token}" if token else ""), flush=True)
    threading.Thread(
        target=lambda: [session.load_latents() for session in sessions], daemon=True
    ).start()
    app = SecurityMiddleware(create_application(sessions, worker), host, token)
    uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none")).run(sockets=[server_socket])


def open_socket(host: str, ports: Sequence[int]) -> socket.socket:
    """A socket that already listens, so that the printed address answers at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in ports:
        server_socket = socket.socket(family)
        server_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server_socket.bind((host, port))
            server_socket.listen(128)
            return server_socket
        except (OSError, OverflowError) as problem:
            server_socket.close()
            reason = getattr(problem, "strerror", None) or str(problem)
    address = host if len(ports) > 1 else f"{host}:{ports[0]}"
    raise Error(f"{address} cannot be served on ({reason}); give another --port or --host.")
