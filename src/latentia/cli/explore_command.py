"""The command that serves the explorer."""

from tyro.conf import Positional

from latentia.cli import options
from latentia.core.errors import Error

PORT = 8765  # fixed, so that an open page finds a server that was started again


def explore(
    runs: Positional[tuple[str, ...]],
    data: options.Data = None,
    split: str = "all",
    *,
    port: int | None = None,
    host: str = "127.0.0.1",
) -> None:
    """Explore runs in the browser: sliders, a map of the latents, interpolations, samples.

    Parameters
    ----------
    runs : RUN ...
        one or more run folders, or hub:OWNER/NAME to download one
    split : SPLIT
        images on the map: train, validation, test or all
    port : N
        port to serve on, 0 to 65535; the default is 8765, or a free port if that is taken
    host : ADDRESS
        address to serve on; other machines reach any but 127.0.0.1, with a token that is printed
    """
    if not runs:
        raise Error("No run was named; give one or more folders: latentia explore RUN [RUN ...].")
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ModuleNotFoundError:
        raise Error('latentia explore needs the web extra: pip install "latentia[web]".') from None
    from latentia.explorer.server import serve_explorer

    serve_explorer(list(runs), data, split, host, (PORT, 0) if port is None else (port,))
