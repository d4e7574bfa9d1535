"""The server of the explorer: open runs, take an address, print it and serve."""

import secrets
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from latentia.core.errors import Error
from latentia.core.progress import print_note
from latentia.data.splits import SPLIT_NAMES
from latentia.explorer.connections import LimitedProtocol
from latentia.explorer.projection import MapOptions
from latentia.explorer.routes import create_application
from latentia.explorer.security import LOOPBACK, SecurityMiddleware
from latentia.explorer.session import RunSession
from latentia.explorer.worker import Worker
from latentia.runs.priors import find_learned_prior


def serve_explorer(
    paths: Sequence[str],
    data: str | None,
    split: str,
    options: MapOptions,
    host: str,
    ports: Sequence[int],
) -> None:
    """Serve on the first free port, until interrupted; port 0 is any free one.

    Raises: Error if a run cannot be opened, the split is unknown, the labels or coordinates do not
    fit the images, or no port can be taken
    """
    if split not in (*SPLIT_NAMES, "all"):
        raise Error(f"{split!r} is not a split; give one of {', '.join(SPLIT_NAMES)}, all.")
    worker = Worker()
    sessions = open_sessions(paths, data, split, worker)
    for session in sessions:
        session.umap = options.umap
        if any((*options.labels[:2], options.coordinates)):  # a mistake ends the command
            session.open_split(*options.labels[:2], options.coordinates)
    for path, session in zip(paths, sessions, strict=True):
        if session.run_argument != path:
            prior = session.run_argument
            print_note(f"Opened {prior}, which has the coordinates of {path} and a learned prior.")
    token = None if host in LOOPBACK else secrets.token_urlsafe(24)
    listener = open_listener(host, ports)
    name = f"[{host}]" if ":" in host else host
    query = f"?token={token}" if token else ""
    print(f"http://{name}:{listener.getsockname()[1]}/{query}", flush=True)
    threading.Thread(target=lambda: [s.load_latents() for s in sessions], daemon=True).start()
    app = SecurityMiddleware(create_application(sessions, worker), host, token)
    make_server(app).run(sockets=[listener])


def open_sessions(
    paths: Sequence[str], data: str | None, split: str, worker: Worker
) -> list[RunSession]:
    """Open runs; the prior learned of a run takes its place, unless both are named.

    The page of a prior shows all that the page of the run does, and also draws samples from it.
    """
    sessions = [RunSession.open(path, data, split, worker) for path in paths]
    opened = [session.run.path.resolve() for session in sessions]
    for number, session in enumerate(sessions):
        prior = None if session.run.beta_range else find_learned_prior(session.run)
        if prior and prior.path.resolve() not in opened:
            with suppress(Error):  # a prior that cannot be opened
                sessions[number] = RunSession.open(str(prior.path), data, split, worker)
    return sessions


def make_server(app: ASGIApp) -> uvicorn.Server:
    return uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none", http=LimitedProtocol))


def open_listener(host: str, ports: Sequence[int]) -> socket.socket:
    """Return a socket that already listens, so that the printed address answers at once."""
    options: Any = {"family": socket.AF_INET6 if ":" in host else socket.AF_INET}
    options["dualstack_ipv6"] = ":" in host and socket.has_dualstack_ipv6()
    for port in ports:
        if not 0 <= port < 2**16:
            reason = f"ports are 0 to {2**16 - 1}"
            continue
        try:
            return socket.create_server((host, port), **options)
        except OSError as problem:
            reason = (problem.strerror or str(problem)).partition(" (while")[0]
    address = host if len(ports) > 1 else f"{host}:{ports[0]}"
    raise Error(f"{address} cannot be served on ({reason}); give another --port or --host.")
