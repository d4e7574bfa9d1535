"""A run that a command has opened, and its label table."""

from typing import Any

from latentia.api.run import Run
from latentia.api.train_and_load import load
from latentia.cli.options import Inputs
from latentia.report.grids import check_suffix


def open_inputs(inputs: Inputs, *suffixes: str) -> Run:
    """Open the run of a command; the suffix of its file is checked before any work begins."""
    if inputs.out and suffixes:
        check_suffix(inputs.out, *suffixes)
    return load(inputs.run, inputs.data).with_beta(inputs.beta)


def get_labels(inputs: Inputs) -> dict[str, Any]:
    """Return the table of labels and the names of its columns, as methods of `Run` take them."""
    columns = inputs.label_cols
    return {"labels": inputs.labels, "label_cols": columns.split(",") if columns else None}
