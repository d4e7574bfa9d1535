"""Labels from the keys of images: a folder of their paths, or a regular expression."""

import re
from collections.abc import Sequence

from latentia.core.errors import Error
from latentia.core.text import pluralize
from latentia.data.labels import to_label_column
from latentia.data.reader import SourceInfo
from latentia.data.reading import Reading


def add_key_labels(info: SourceInfo, reading: Reading) -> SourceInfo:
    """Add the columns of --label-folder and --label-regex, in place of any of the same name."""
    import pandas as pd

    texts: dict[str, list[str]] = {}
    if reading.label_folder:
        texts["label"] = find_folder_names(info.keys, reading.label_folder)
    if reading.label_regex:
        texts |= find_in_keys(reading.label_regex, info.keys, "--label-regex")
    columns, classes, notes = dict(info.columns), dict(info.classes), list(info.notes)
    for name, values in texts.items():
        column, classes[name] = to_label_column(pd.Series(values, dtype=object).replace("", None))
        columns[name] = column.numpy()
        if missing := [key for key, value in zip(info.keys, values, strict=True) if not value]:
            notes.append(
                f"--label-regex finds no {name} in {len(missing):,} of"
                f" {pluralize(len(values), 'image')}, such as {missing[0]}: these have no label."
            )
    return info._replace(columns=columns, classes=classes, notes=notes)


def find_folder_names(keys: Sequence[str], level: int) -> list[str]:
    """Return the folder of each key at a level, 1 for the first.

    Raises: Error if a key has fewer folders.
    """
    depth, key = min((key.count("/"), key) for key in keys)
    if level > depth:
        raise Error(
            f"--label-folder is {level}, but {key} lies in {pluralize(depth, 'folder')}; give a"
            " number that every image has, or --label-regex."
        )
    return [key.split("/")[level - 1] for key in keys]


def find_in_keys(regex: str, keys: Sequence[str], option: str) -> dict[str, list[str]]:
    """Return what the expression finds in each key, by the names of its groups; "" is nothing.

    Without a named group, the first group, else the whole match, is called label.

    Raises: Error if the expression is invalid, or finds nothing in any key.
    """
    try:
        pattern = re.compile(regex)
    except re.error as error:
        raise Error(
            f"{option} {regex} is no regular expression ({error}); write one such as 'mouse(\\d+)'."
        ) from None
    groups = pattern.groupindex or {"label": min(pattern.groups, 1)}
    matches = [pattern.search(key) for key in keys]
    texts = {
        name: [match[group] or "" if match else "" for match in matches]
        for name, group in groups.items()
    }
    for name, values in texts.items():
        if not any(values):
            what = f" by its group {name}" if pattern.groupindex else ""
            raise Error(
                f"{option} {regex} finds nothing{what} in {pluralize(len(keys), 'key')}, the first"
                f" of them {keys[0]}; write one that matches part of such a key."
            )
    return texts
