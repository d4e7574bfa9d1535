"""Columns of labels: numbers stay, and text and other scalars become classes."""

import datetime
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np

from latentia.data.reader import LabelColumns

SCALARS = (str, bool, int, float, np.generic, Decimal, datetime.date, datetime.timedelta)


def encode_table(table: Mapping[str, Any]) -> LabelColumns:
    """Encode the cells of each column, a series or a list."""
    import pandas as pd

    columns, classes, free_text, unused = {}, {}, [], []
    for name, cells in table.items():
        cells = cells if isinstance(cells, pd.Series) else pd.Series(cells, dtype=object)
        encoded = None if cells.isna().all() else encode_cells(cells)
        if encoded is None:
            unused.append(str(name))
            continue
        columns[str(name)], names = encoded
        classes[str(name)] = names
        if names and len(names) > max(int(cells.count()) // 2, 1):
            free_text.append(str(name))
    return LabelColumns(columns, classes, free_text, unused)


def encode_cells(cells: Any) -> tuple[np.ndarray, list[str] | None] | None:
    """Convert a series of booleans, integers or floats to an array, other scalars to classes.

    A missing value becomes NaN or class -1. None: cells hold lists or other objects.
    """
    import pandas as pd

    if cells.dtype == object:
        cells = pd.Series([simplify_cell(cell) for cell in cells], cells.index)
    kind, has_gaps = cells.dtype.kind, bool(cells.isna().any())
    if kind == "f" or cells.isna().all():
        return cells.to_numpy(np.float64, na_value=np.nan), None
    if kind in "iu":
        gaps: dict[str, Any] = {"na_value": np.nan} if has_gaps else {}  # pandas 2 converts it
        return cells.to_numpy(np.float64 if has_gaps else np.int64, **gaps), None
    if kind == "b" and not has_gaps:
        return cells.to_numpy(bool), None
    if kind == "c" or not all(isinstance(cell, SCALARS) for cell in cells.dropna()):
        return None
    codes, classes = pd.factorize(cells.map(str, na_action="ignore"), sort=True)
    return codes, list(classes)


def simplify_cell(cell: Any) -> Any:
    """Convert bytes to text, and a number of NumPy or torch or a decimal one to one of Python."""
    if isinstance(cell, bytes):
        return cell.decode("utf-8", "replace")
    if isinstance(cell, Decimal):
        return float(cell)
    return cell.item() if hasattr(cell, "item") and np.prod(np.shape(cell)) == 1 else cell


def collapse_one_hot(array: np.ndarray) -> np.ndarray:
    """Return the class of each row of one-hot labels (n, k); other labels unchanged."""
    is_one_hot = (
        array.ndim == 2
        and array.shape[1] > 1
        and array.dtype.kind in "biuf"
        and np.isin(array, (0, 1)).all()
        and (array.sum(1) == 1).all()
    )
    return array.argmax(1) if is_one_hot else array
