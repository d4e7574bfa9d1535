"""The command that serves the explorer."""

from typing import Annotated

from typing_extensions import Doc
from tyro.conf import Positional

from latentia.commands.flags import Data
from latentia.core.errors import Error

HOME = 8765  # the port that is taken if it is free, so that a page finds its server again


def explore(
    runs: Annotated[Positional[tuple[str, ...]], Doc("folders of runs")],
    data: Data = None,
    split: Annotated[
        str,
        Doc("images on the map: train, validation, test or all; as the other commands' --split"),
    ] = "all",
    port: Annotated[int | None, Doc(f"default: {HOME}, or any that is free")] = None,
    host: Annotated[str, Doc("address to serve on; beyond this machine a token is asked")] = (
        "127.0.0.1"
    ),
) -> None:
    """Explore runs in the browser: sliders, a map, walks, samples."""
    if not runs:
        raise Error("No run was named; give one or more folders: latentia explore RUN [RUN ...].")
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ModuleNotFoundError:
        raise Error('latentia explore needs the web extra: pip install "latentia[web]".') from None
    from latentia.explorer.server import serve

    serve(list(runs), data, split, host, port)
