"""Service of the explorer in the browser."""

from types import SimpleNamespace

from latentia.core.errors import Error
from latentia.core.parameters import require_at_least
from latentia.data.labels import Labels

PORT = 8765  # fixed, so that an open page finds a server that was started again


def explore(args: SimpleNamespace) -> None:
    if not args.runs:
        raise Error("No run was named; give one or more folders: latentia explore RUN [RUN ...].")
    require_at_least("--umap-neighbors", args.umap_neighbors, 2)
    if not 0 <= args.umap_distance <= 1:
        raise Error(f"--umap-distance is {args.umap_distance:g}; give a number from 0 to 1.")
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ModuleNotFoundError:
        raise Error('latentia explore needs the web extra: pip install "latentia[web]".') from None
    from latentia.explorer.projection import MapOptions
    from latentia.explorer.server import serve_explorer

    ports = (PORT, 0) if args.port is None else (args.port,)
    labels = Labels(args.labels, args.label_cols)
    umap = args.umap_neighbors, args.umap_distance
    options = MapOptions(labels, umap, args.coordinates)
    serve_explorer(args.runs, args.data, args.split, options, args.host, ports)
