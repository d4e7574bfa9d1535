"""Tables of labels, .csv, .tsv and .parquet, as spreadsheets of any country write them."""

import codecs
import csv
import io
import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from latentia.core.errors import Error, summarize_exception
from latentia.data.name_matching import NamedRows, name_rows

MISSING = ("", "na", "n/a", "#n/a", "nan", "null", "-")  # cells without a value, in any case


def open_label_table(path: Path, keys: Sequence[str]) -> NamedRows:
    """Read the rows of a table by the images that they name.

    Raises: Error if the file cannot be read, or two of its columns have one name.
    """
    import pandas as pd
    import pyarrow as pa
    from pyarrow import parquet

    suffix = path.suffix.lower()
    if suffix not in (".csv", ".tsv", ".txt", ".parquet"):
        raise Error(f"{path} is no table that can be read; save it as .csv, .tsv or .parquet.")
    delimiter = ""
    try:
        if suffix == ".parquet":
            table = parquet.read_table(path)
            frame = table.to_pandas(types_mapper=pd.ArrowDtype, ignore_metadata=True)
        else:
            text, delimiter = find_delimiter(decode_text(path.read_bytes()))
            frame = parse_text(text, delimiter)
    except FileNotFoundError:
        raise Error(f"{path} does not exist; give a .csv or .parquet file.") from None
    except (OSError, pa.ArrowException, csv.Error) as error:
        reason = summarize_exception(error)
        raise Error(f"{path} cannot be read as a table ({reason}); save it anew as .csv.") from None
    columns = list(frame)
    if doubles := {name for name in columns if columns.count(name) > 1}:
        raise Error(f"{path} has two columns called {min(doubles)!r}; rename one of them.")
    content = name_rows(frame, keys)
    if not delimiter:
        return content
    rows = content.rows
    for name in rows.columns:
        rows[name] = convert_cells(rows[name], has_decimal_comma=delimiter != ",")
    return content._replace(rows=rows)


def decode_text(content: bytes) -> str:
    """Decode UTF-8, UTF-16 with its mark, or else Windows' code page of western languages."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", "replace")
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            pass
    return content.decode("latin-1")


def find_delimiter(text: str) -> tuple[str, str]:
    """Return the text and its delimiter: that of Excel's line sep=X, or else of most equal rows."""
    if match := re.match(r'"?sep=(.)"?\s*\n', text):
        return text[match.end() :], match[1]

    def score(delimiter: str) -> tuple[int, int]:
        rows = islice(csv.reader(io.StringIO(text), delimiter=delimiter), 100)
        widths = [len(row) for row in rows if any(row)] or [0]
        return (widths.count(widths[0]) if widths[0] > 1 else 0), widths[0]

    return text, max(",;\t", key=score)


def parse_text(text: str, delimiter: str) -> Any:
    """Parse delimited text to a data frame of strings, without blank rows and columns."""
    import pandas as pd
    import pyarrow as pa

    rows = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if any(row)]
    for row in rows:
        if len(row) != len(rows[0]):
            raise csv.Error(
                f"{len(rows[0])} columns, but {len(row)} cells in {delimiter.join(row)}"
            )
    frame = pd.DataFrame(rows, dtype=pd.ArrowDtype(pa.string()))
    frame = frame.apply(lambda cells: cells.str.strip())
    frame = frame.mask(frame.apply(lambda cells: cells.str.lower().isin(MISSING)))
    frame = frame.dropna(how="all")
    if frame.empty:
        raise csv.Error("it is blank")
    headers = [str(name) for name in frame.iloc[0].fillna("")]
    frame = frame.iloc[1:].set_axis(headers, axis=1)
    return frame.loc[:, frame.notna().any().to_numpy() | [name != "" for name in headers]]


def convert_cells(cells: Any, has_decimal_comma: bool) -> Any:
    """Convert a series of text to booleans, integers or floats, if every cell is one."""
    import pandas as pd

    words = cells.str.lower()
    if cells.notna().any() and words.dropna().isin(["true", "false"]).all():
        return words == "true"
    if has_decimal_comma and not cells.str.contains(".", regex=False).any():
        words = words.str.replace(",", ".")
    try:
        numbers: Any = pd.to_numeric(words, dtype_backend="pyarrow")
    except ValueError:
        return cells
    return numbers if numbers.dtype.kind in "if" else cells  # more digits than 64 bits hold
