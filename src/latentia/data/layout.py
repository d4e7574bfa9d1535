"""Layouts of folders: which folders are splits or labels, and how else they can be read."""

import re
from collections.abc import Sequence
from posixpath import commonpath, dirname

from latentia.core.text import abbreviate_list
from latentia.data.reading import Reading
from latentia.data.splits import SPLIT_ALIASES, SPLIT_NAMES

OLD_SPLIT_FOLDERS = SPLIT_ALIASES | {"training": "train", "testing": "test"}  # of rules 1
SPLIT_FOLDERS = OLD_SPLIT_FOLDERS | {"dev": "validation", "eval": "test", "evaluation": "test"}
SPLIT_WORD = re.compile(rf"(^|[^a-z])({'|'.join(SPLIT_FOLDERS)})([^a-z]|$)", re.IGNORECASE)


def find_split_folders(keys: Sequence[str], rules: int) -> dict[str, str]:
    """Return the split of each folder, if all images lie in train and in validation or test.

    Any other folders may have these names for another reason, so that they are labels.
    """
    aliases = SPLIT_FOLDERS if rules > 1 else OLD_SPLIT_FOLDERS
    names = {first_folder(key) for key in keys}
    splits = {name: aliases.get(name.lower(), "") for name in names}
    is_layout = all("/" in key for key in keys) and "" not in splits.values()
    return splits if is_layout and {"train"} < {*splits.values()} else {}


def find_folder_labels(
    keys: Sequence[str], splits: dict[str, str], rules: int
) -> tuple[Sequence[str | None] | None, str]:
    """Return the folder of each image at the first level, below the splits, where they differ.

    None: there is no such level of which every image has a folder. Images of validation or test
    may all lie in no folder: these have no label. The text says how else the folders can be read,
    if they can.
    """
    start = 1 if splits else 0
    flat = {first_folder(key) for key in keys if key.count("/") == 1} if start else set()
    if rules < 2 or any(splits[folder] == "train" for folder in flat):
        flat = set()
    deep = [key.split("/")[:-1] for key in keys if first_folder(key) not in flat]
    levels = list(zip(*deep, strict=False))
    candidates = range(start, len(levels))
    level = next((k for k in candidates if rules < 2 or len({*levels[k]}) > 1), None)
    if level is None:
        return None, ""
    labels, note = levels[level], ""
    count = len({*labels})
    deeper = range(level + 1, len(levels))
    finer = [k for k in deeper if len({*zip(labels, levels[k], strict=True)}) > count]
    if finer or level > 0:
        note = f"the folders of level {level + 1} are the labels ({list_names(labels)})"
    if finer:
        number, others = finer[0] + 1, list_names(levels[finer[0]])
        note += f"; --label-folder {number} takes those of level {number} ({others})"
    remaining = iter(labels)
    names = [None if first_folder(key) in flat else next(remaining) for key in keys]
    return names, note and f"{note}."


def describe_splits(
    keys: Sequence[str], splits: dict[str, str], reading: Reading, source_name: str
) -> str:
    """Say which folders are splits, or why those that are named so are none; "" if none are."""
    if splits:
        missing = {*SPLIT_NAMES} - {*splits.values()}
        text = f" The {missing.pop()} split is drawn from train by seed." if missing else ""
        return (
            f"{', '.join(sorted(splits))} are the splits; --splits seeded takes them as labels,"
            f" and draws the splits by seed.{text}"
        )
    parent = commonpath([dirname(key) for key in keys])
    if parent and find_split_folders([key[len(parent) + 1 :] for key in keys], reading.rules):
        return f"to read the folders in {parent}/ as splits give --data {source_name}{parent}."
    names = {first_folder(key) for key in keys if "/" in key}
    similar = sorted(filter(SPLIT_WORD.search, names))
    if not similar or reading.splits == "seeded":
        return ""
    others = [key for key in keys if first_folder(key).lower() not in SPLIT_FOLDERS]
    example = f"; {others[0]} lies elsewhere" if others else ""
    return (
        f"{', '.join(similar)}: read as any other folder; train, validation and test are drawn"
        f" by seed. Splits are folders train and val or test that hold all images{example}."
    )


def first_folder(key: str) -> str:
    return key.partition("/")[0]


def list_names(names: Sequence[str]) -> str:
    return abbreviate_list(sorted({*names}), 3)
