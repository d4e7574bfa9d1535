"""Labels from the keys of images: a folder of their paths, or a regular expression."""

import re
from collections.abc import Sequence

from latentia.core.errors import Error
from latentia.core.text import pluralize
from latentia.data.labels import encode_label
from latentia.data.number_cells import convert_column
from latentia.data.reader import SourceInfo
from latentia.data.reading import Reading


def add_key_labels(info: SourceInfo, reading: Reading) -> SourceInfo:
    """Add the columns of --label-folder and --label-regex, in place of any of the same name."""
    import pandas as pd
    import pyarrow as pa

    regexes = {}
    if level := reading.label_folder:
        regexes[f"--label-folder {level}"] = rf"^(?:[^/]+/){{{level - 1}}}([^/]+)/"
    if reading.label_regex:
        regexes[f"--label-regex {reading.label_regex}"] = reading.label_regex
    columns, classes, notes = dict(info.labels.columns), dict(info.labels.classes), [*info.notes]
    for option, regex in regexes.items():
        for name, texts in find_in_keys(regex, info.keys, option).items():
            cells = pd.Series([text or None for text in texts], dtype=pd.ArrowDtype(pa.string()))
            if regex == reading.label_regex:  # as in a table; a folder is a class
                cells = convert_column(cells, ".", ",")
            columns[name], classes[name] = encode_label(name, cells)
            if missing := [key for key, text in zip(info.keys, texts, strict=True) if not text]:
                notes.append(
                    f"{option} finds no {name} in {len(missing):,} of"
                    f" {pluralize(len(texts), 'image')}, such as {missing[0]}: these have none."
                )
    return info._replace(labels=info.labels._replace(columns=columns, classes=classes), notes=notes)


def find_in_keys(regex: str, keys: Sequence[str], option: str) -> dict[str, list[str]]:
    """Return what the expression finds in each key, by the names of its groups; "" is nothing.

    Without a named group, the first group, else the whole match, is called label.
    option: how the user wrote it.

    Raises: Error if the expression is invalid, or finds nothing in any key.
    """
    try:
        pattern = re.compile(regex)
    except re.error as error:
        raise Error(f"{option} is no regular expression ({error}); correct it.") from None
    groups = pattern.groupindex or {"label": min(pattern.groups, 1)}
    matches = [pattern.search(key) for key in keys]
    texts = {k: [m[group] or "" if m else "" for m in matches] for k, group in groups.items()}
    if not any(map(any, texts.values())):
        count = pluralize(len(keys), "key")
        raise Error(f"{option} finds nothing in {count}, such as {keys[0]}; give one that fits.")
    return texts
