"""From the command's words to a server that prints its address."""

import secrets
import socket
import threading
from collections.abc import Sequence

import uvicorn

from latentia.core.errors import Error
from latentia.data.splits import NAMES
from latentia.explorer.routes import application
from latentia.explorer.security import LOOPBACK, Guard
from latentia.explorer.session import Explored
from latentia.explorer.worker import Worker


def serve(given: list[str], data: str | None, split: str, host: str, ports: Sequence[int]) -> None:
    """Serve on the first port that is free, until interrupted; port 0 is any free one.

    Raises: Error if one of the runs cannot be opened, or the address cannot be taken.
    """
    if split not in (*NAMES, "all"):
        raise Error(f"{split!r} is not a split; give one of {', '.join(NAMES)}, all.")
    worker = Worker()
    runs = [Explored.open(each, data, split, worker) for each in given]
    token = None if host in LOOPBACK else secrets.token_urlsafe(24)
    door = listening(host, ports)
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{door.getsockname()[1]}/"
    print(address + (f"?token={token}" if token else ""), flush=True)
    threading.Thread(target=lambda: [run.read() for run in runs], daemon=True).start()
    app = Guard(application(runs, worker), host, token)
    uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none")).run(sockets=[door])


def listening(host: str, ports: Sequence[int]) -> socket.socket:
    """A socket that already listens, so that the printed address answers at once."""
    kind = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in ports:
        door = socket.socket(kind)
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind((host, port))
            door.listen(128)
            return door
        except (OSError, OverflowError) as problem:
            door.close()
            why = getattr(problem, "strerror", None) or str(problem)
    at = host if len(ports) > 1 else f"{host}:{ports[0]}"
    raise Error(f"{at} cannot be served on ({why}); give another --port or --host.")
