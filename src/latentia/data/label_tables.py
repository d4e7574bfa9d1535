"""Tables of labels, delimited text, JSON and parquet, as programs of any country write them."""

import codecs
import csv
import io
import json
import locale
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from latentia.core.errors import Error, convert_errors
from latentia.core.files import require_file
from latentia.core.text import pluralize
from latentia.data.name_matching import NamedRows, name_rows
from latentia.data.number_cells import VALUE, convert_cells
from latentia.data.pages import IMAGE_SUFFIXES

TEXT_SUFFIXES = (".csv", ".tsv", ".txt")
JSON_SUFFIXES = (".json", ".jsonl")
WORKBOOK_SUFFIXES = (".xlsx", ".xlsm", ".xls", ".ods", ".numbers")
WORKBOOK_MARKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # first bytes, whatever the suffix
# cells without a value, in any case: #DIV/0!, #WERT! and the like are Excel's errors
MISSING = r"|na|n/a|nan|null|-|#n/?[avd]|#\S+[!?]"
TABLE_HINT = "--labels"  # of a note on a table that is not used
UNNAMED = "column {}"  # by its number


def open_label_table(path: Path, keys: Sequence[str]) -> NamedRows:
    """Read the rows of a table by the images that they name.

    Raises: Error if the file cannot be read, or two of its columns have one name.
    """
    if not os.path.exists(path):  # which raises no exception
        raise Error(f"{path} does not exist; give a .csv or .parquet file.")
    advice = "correct it, or save it as .csv"
    with convert_errors(lambda reason: f"{path} is no table ({reason}); {advice}."):
        require_file(path)
        frame = read_table(path)
    columns = list(frame)
    if doubles := {name for name in columns if columns.count(name) > 1}:
        raise Error(f"{path} has two columns called {min(doubles)!r}; rename one of them.")
    content = name_rows(frame, keys)
    if is_image_name(content.column) or content.has_image_in_header:
        raise Error(
            f"{path} begins with a row of an image ({content.column}), so that its columns have no "
            "names; add a first line with a name for each, such as file and label."
        )
    rows, first = content.rows, UNNAMED.format(1)
    if first in rows and rows[first].dtype.kind == "i" and rows[first].is_monotonic_increasing:
        rows = rows.drop(columns=first)  # numbers of the rows, as pandas and R write them
    return content._replace(rows=rows)


def read_table(path: Path) -> Any:
    """Read a file as a data frame. Raises: an exception of the library that parses it."""
    import pandas as pd
    from pyarrow import parquet

    suffix = path.suffix.lower()
    if suffix not in (*TEXT_SUFFIXES, *JSON_SUFFIXES, ".parquet", *WORKBOOK_SUFFIXES):
        raise Error(f"{path} is no table that can be read; save it as .csv, .tsv or .parquet.")
    content = b"" if suffix in WORKBOOK_SUFFIXES else path.read_bytes()
    if suffix in WORKBOOK_SUFFIXES or content.startswith(WORKBOOK_MARKS):
        raise Error(f"{path} is a workbook, which is not read; save it in Excel as .csv.")
    if suffix == ".parquet":
        table = parquet.read_table(path)
        return table.to_pandas(types_mapper=pd.ArrowDtype, ignore_metadata=True)
    if suffix in JSON_SUFFIXES:
        return parse_json(decode_text(content), path)
    text, delimiter = find_delimiter(decode_text(content))
    return convert_cells(parse_text(text, delimiter), delimiter)


def parse_json(text: str, path: Path) -> Any:
    """Parse rows of JSON with a name each, {NAME: label}, or {"labels": [[NAME, label], ...]}."""
    import pandas as pd

    if path.suffix.lower() == ".jsonl":
        return pd.DataFrame([json.loads(line) for line in text.splitlines() if line.strip()])
    content = json.loads(text)
    if path.name == "dataset.json" or (isinstance(content, dict) and "labels" in content):
        pairs = content["labels"] or []  # StyleGAN's; its integers are classes, however many
        content = [(name, str(k) if isinstance(k, int) else k) for name, k in pairs]
    if isinstance(content, dict):
        content = list(content.items())
    is_pairs = not (content and isinstance(content[0], dict))
    return pd.DataFrame(content, columns=["file_name", "label"] if is_pairs else None)


def decode_text(content: bytes) -> str:
    """Decode UTF-8, UTF-16, or else the code page of the system or of western languages."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", "replace")
    if b"\0" in content[:2]:
        return content.decode("utf-16-be" if content[0] == 0 else "utf-16-le", "replace")
    for encoding in ("utf-8-sig", locale.getpreferredencoding(do_setlocale=False), "cp1252"):
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
        widths = Counter(len(row) for row in islice(read_rows(text, delimiter), 100))
        width, count = max(widths.items(), key=lambda pair: pair[::-1], default=(1, 0))
        return (count if width > 1 else 0), width

    delimiter = max(",;\t|", key=score)
    return text, " " if score(delimiter)[1] == 1 and is_spaced(text) else delimiter


def is_spaced(text: str) -> bool:
    """Whether spaces separate columns: in all rows as many, and they are no names with spaces."""
    header, *rows = [*islice(read_rows(text, " "), 100)] or [[]]
    widths = {len(row) for row in rows} or {len(header)}
    has_names = any(map(is_image_name, text.splitlines()[:100]))
    return len(header) > 1 and widths in ({len(header)}, {len(header) + 1}) and not has_names


def read_rows(text: str, delimiter: str) -> Iterable[list[str]]:
    """Read the rows that are not blank, with trimmed cells."""
    lines = io.StringIO(text, newline=None)  # \r alone ends a line of old Excel for Macintosh
    for row in csv.reader(lines, delimiter=delimiter, skipinitialspace=True):
        cells = [cell.strip() for cell in row]
        if any(cells):
            yield cells


def parse_text(text: str, delimiter: str) -> Any:
    """Parse delimited text to a data frame of strings, without titles, blank rows and columns."""
    import pandas as pd
    import pyarrow as pa

    header, *rows = drop_titles(list(read_rows(text, delimiter))) or [[]]
    if not header:
        raise csv.Error("it is blank")
    if {len(row) for row in rows} == {len(header) + 1} and any(row[-1] for row in rows):
        header = ["", *header]  # R names its rows without a name of their column
    if len(header) == 1 and is_image_name(header[0]):  # a list of names, as ls writes it
        header, rows = ["key"], [header, *rows]
    for row in rows:
        if any(row[len(header) :]):
            count = pluralize(len(header), "column")
            raise csv.Error(f"{count}, but {pluralize(len(row), 'cell')} in {delimiter.join(row)}")
    # Excel leaves out delimiters of empty cells at the end of a row
    rows = [(row + [""] * len(header))[: len(header)] for row in rows]
    names = [name or UNNAMED.format(k) for k, name in enumerate(header, 1)]
    frame = pd.DataFrame(rows, columns=range(len(names)), dtype=pd.ArrowDtype(pa.string()))
    frame = frame.mask(frame.apply(lambda cells: cells.str.lower().str.fullmatch(MISSING)))
    is_used = frame.notna().any() | pd.Series([name != "" for name in header])
    return frame.set_axis(names, axis=1).loc[:, is_used.to_numpy()]


def drop_titles(rows: list[list[str]]) -> list[list[str]]:
    """Drop the lines above the header: those of one cell, and comments of another width."""
    widths = Counter(len([*filter(None, row)]) for row in rows)
    for number, row in enumerate(rows):
        width = len([*filter(None, row)])
        is_comment = row[0].startswith("#") and widths[width] < widths.most_common(1)[0][1]
        if any(row[1:]) and not is_comment:
            is_header = not any(is_image_name(cell) or VALUE.fullmatch(cell) for cell in row)
            return rows[number:] if is_header else rows
    return rows


def is_image_name(text: str) -> bool:
    return PurePosixPath(text).suffix.lower() in IMAGE_SUFFIXES
