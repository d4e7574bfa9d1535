"""A run that a command has opened."""

from types import SimpleNamespace

from latentia.api.run import Run
from latentia.api.train_and_load import load
from latentia.report.grids import check_suffix


def open_requested_run(args: SimpleNamespace, *suffixes: str) -> Run:
    """Open the run of a command; the suffix of `out` is checked before any work begins."""
    if suffixes and args.out:
        check_suffix(args.out, *suffixes)
    data = getattr(args, "data", None)  # `decode` reads no images
    return load(args.run, data).with_beta(args.beta)
