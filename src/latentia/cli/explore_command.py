"""The command that serves the explorer."""

from typing import Annotated

from typing_extensions import Doc
from tyro.conf import Positional, arg

from latentia.cli.options import Data
from latentia.core.errors import Error

PORT = 8765  # always the same if it is free, so that an open page finds its server again


def explore(
    runs: Annotated[
        Positional[tuple[str, ...]],
        arg(metavar="RUN ..."),
        Doc("run folders, or hub:OWNER/NAME; one or more"),
    ],
    data: Data = None,
    split: Annotated[
        str,
        arg(metavar="SPLIT"),
        Doc("images on the map: train, validation, test or all"),
    ] = "all",
    *,
    port: Annotated[
        int | None, Doc(f"port to serve on; the default is {PORT}, or a free one if it is taken")
    ] = None,
    host: Annotated[
        str,
        arg(metavar="ADDRESS"),
        Doc("address to serve on; any but this machine's own asks for a token, which is printed"),
    ] = "127.0.0.1",
) -> None:
    """Explore runs in the browser: sliders, a map of the latents, interpolations, samples."""
    if not runs:
        raise Error("No run was named; give one or more folders: latentia explore RUN [RUN ...].")
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ModuleNotFoundError:
        raise Error('latentia explore needs the web extra: pip install "latentia[web]".') from None
    from latentia.explorer.server import serve

    serve(list(runs), data, split, host, (PORT, 0) if port is None else (port,))
