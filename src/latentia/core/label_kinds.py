"""Kinds of labels: the rule by which a column of an image's labels is classes or numbers."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from latentia.core.errors import Error

MAX_CLASSES = 20  # a column of more distinct integers is a quantity
LabelKind = Literal["class", "number"]
Names = Sequence[str] | None


def infer_label_kind(values: np.ndarray) -> LabelKind:
    """Booleans and whole numbers of at most 20 distinct values are classes, others are numbers."""
    present = values[find_labelled(values, "number")]
    is_whole = np.isfinite(present) & (present == np.floor(present))
    if values.dtype.kind == "f" and not (len(present) and is_whole.all()):
        return "number"
    return "class" if len(np.unique(present)) <= MAX_CLASSES else "number"


def get_label_kind(name: str, values: np.ndarray, classes: Mapping[str, Names]) -> LabelKind:
    """Return the kind that `classes` says, or infer it if `classes` lacks the column."""
    if name in classes:
        return "class" if classes[name] else "number"
    return infer_label_kind(values)


def find_labelled(values: np.ndarray, kind: LabelKind) -> np.ndarray:
    """Return a mask of the images that have a label: no NaN, no class below 0."""
    is_present = ~np.isnan(values) if values.dtype.kind == "f" else np.ones(len(values), bool)
    return is_present & (values >= 0) if kind == "class" else is_present


def encode_column(
    name: str, values: np.ndarray, names: Names, kind: LabelKind | None = None
) -> tuple[np.ndarray, list[str] | None]:
    """Convert a column to codes and class names, or to numbers and None. Missing: -1 or NaN.

    names: classes that the values count already; kind: the user's choice.

    Raises: Error if names are to be numbers, and one is none.
    """
    if values.ndim > 1:
        return values, None
    if names and kind != "number":
        return sort_classes(values, names)
    if names:
        return read_numbers(name, values, names), None
    if (kind or infer_label_kind(values)) == "number":
        return values, None
    is_present = find_labelled(values, "number")
    levels, codes = np.unique(values[is_present], return_inverse=True)
    result = np.full(len(values), -1)
    result[is_present] = codes
    is_float = levels.dtype.kind == "f"
    return result, [str(int(v) if is_float and v == np.floor(v) else v) for v in levels]


def sort_classes(codes: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Sort classes whose names are whole numbers, 2 before 10; others stay as they are."""
    if not all(name.isdecimal() for name in names):
        return codes, list(names)
    order = sorted(range(len(names)), key=lambda code: int(names[code]))
    ranks = np.argsort([*order, len(names)])
    ranks[-1] = -1  # code -1 is no class
    return ranks[codes], [names[code] for code in order]


def read_numbers(name: str, codes: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Return the numbers that are the names of the classes.

    Raises: Error if a name is no number.
    """
    numbers = []
    for text in names:
        try:
            numbers.append(float(text))
        except ValueError:
            reason = f"'{text}' of {name} is no number"
            raise Error(f"{reason}; leave {name}=number out of --label-kind.") from None
    return np.array([*numbers, np.nan])[codes]  # -1 is the last
