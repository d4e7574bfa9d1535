"""Cells of text converted to numbers, as spreadsheets of any country write them."""

import re
from collections.abc import Iterable
from typing import Any

MAX_ROWS = 1000  # that are searched for the decimal mark of the file
# an apostrophe or a space, which may be thin or unbreakable, between three digits
GROUP_MARK = re.compile(r"(?<=\d)['’ \u00a0\u2009\u202f](?=\d{3}(?!\d))")
GROUPED = {mark: rf"[1-9]\d{{0,2}}([{mark}]\d{{3}})+" for mark in ".,"}
VALUE = re.compile(r"[-+−]?[\d.,'’\s:/-]*\d[\d.,'’\s:/-]*(e[-+]?\d+)?", re.IGNORECASE)


def convert_cells(frame: Any, delimiter: str) -> Any:
    """Convert each column of text to booleans, integers or floats, if every cell is one."""
    import pandas as pd

    texts = (text for _, cells in frame.head(MAX_ROWS).items() for text in cells.dropna())
    decimal = find_decimal(texts)
    columns = [convert_column(cells, decimal, delimiter) for _, cells in frame.items()]
    return pd.concat(columns, axis=1)


def find_decimal(texts: Iterable[str]) -> str:
    """Return the mark of fractions that numbers show beyond doubt: 1.5 or 1,000.5, but not 1.000.

    "": none does, or some show the other one.
    """
    marks = {}
    for mark, other in (".,", ",."):
        clear = rf"{GROUPED[other]}[{mark}]\d+|\d*[{mark}](\d{{1,2}}|\d{{4,}})|0[{mark}]\d+"
        marks[mark] = re.compile(rf"[-+−]?({clear})(e[-+]?\d+)?", re.IGNORECASE)
    decimal_marks = {mark for text in texts for mark in ".," if marks[mark].fullmatch(text)}
    return decimal_marks.pop() if len(decimal_marks) == 1 else ""


def convert_column(cells: Any, decimal: str, delimiter: str) -> Any:
    import pandas as pd

    texts = cells.dropna().tolist()
    words = cells.str.lower()
    if texts and words.dropna().isin(["true", "false"]).all():
        return words == "true"
    if any(re.fullmatch(r"[-+]?0\d+", text) for text in texts):
        return cells  # 007 is a name: as a number it would be another's
    # where nothing shows it, a comma in a file separated by commas groups thousands
    default = "." if delimiter == "," or any("." in text for text in texts) else ","
    decimal = find_decimal(texts) or decimal or default
    other = "." if decimal == "," else ","
    grouped = re.compile(rf"[-+]?{GROUPED[other]}([{decimal}]\d+)?")

    def simplify(text: str) -> str:
        text = GROUP_MARK.sub("", text).replace("−", "-")
        text = text.replace(other, "") if grouped.fullmatch(text) else text
        return text.replace(decimal, ".")

    simple = [None if text is pd.NA else simplify(text) for text in cells]
    try:
        series = pd.Series(simple, cells.index, cells.dtype, cells.name)
        numbers: Any = pd.to_numeric(series, dtype_backend="pyarrow")
    except ValueError:
        return cells
    return numbers if numbers.dtype.kind in "if" else cells  # more digits than 64 bits hold
