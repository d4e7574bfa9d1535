"""A run that a command has opened, and its label table."""

from types import SimpleNamespace
from typing import Any

from latentia.api.run import Run
from latentia.api.train_and_load import load
from latentia.report.grids import check_suffix


def open_requested_run(args: SimpleNamespace, *suffixes: str) -> Run:
    """Open the run of a command; the suffix of `out` is checked before any work begins."""
    if suffixes and args.out:
        check_suffix(args.out, *suffixes)
    return load(args.run, args.data).with_beta(args.beta)


def get_labels(args: SimpleNamespace) -> dict[str, Any]:
    """Return the table of labels and the names of its columns, as methods of `Run` take them."""
    columns = args.label_cols
    return {"labels": args.labels, "label_cols": columns.split(",") if columns else None}
