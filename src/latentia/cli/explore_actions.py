"""Service of the explorer in the browser."""

from types import SimpleNamespace

from latentia.cli.arguments import split_names
from latentia.core.errors import Error
from latentia.data.labels import Labels

PORT = 8765  # fixed, so that an open page finds a server that was started again


def explore(args: SimpleNamespace) -> None:
    if not args.runs:
        raise Error("No run was named; give one or more folders: latentia explore RUN [RUN ...].")
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ModuleNotFoundError:
        raise Error('latentia explore needs the web extra: pip install "latentia[web]".') from None
    from latentia.explorer.server import serve_explorer

    ports = (PORT, 0) if args.port is None else (args.port,)
    labels = Labels(args.labels, split_names(args.label_cols))
    serve_explorer(args.runs, args.data, args.split, labels, args.host, ports)
