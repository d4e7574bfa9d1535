"""Layouts of folders: which folders are splits or labels, and how else they can be read."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from latentia.core.text import abbreviate_list, pluralize
from latentia.data.name_matching import strip_pages
from latentia.data.reading import Reading
from latentia.data.splits import SPLIT_ALIASES, SPLIT_NAMES

SPLIT_WORDS = {  # without accents, in any case
    "train": "training trainings entrenamiento treino entrainement apprentissage addestramento"
    " 训练 訓練",
    "validation": "dev validacion validacao validierung validazione convalida 验证 検証",
    "test": "testing eval evaluation prueba pruebas teste 测试 テスト",
}
SPLIT_FOLDERS = SPLIT_ALIASES | {w: k for k, words in SPLIT_WORDS.items() for w in words.split()}
# train_set, 1-train, train2017, test_images
SPLIT_SUFFIX = r"[ _.-]?(?:set|data|daten|split|imgs?|images?|集|\d+)"
SPLIT_NAME = re.compile(rf"(?:.*[\d_.-])?({'|'.join(SPLIT_FOLDERS)})(?:{SPLIT_SUFFIX})*")
SPLIT_WORD = re.compile(rf"(^|[^a-z])({'|'.join(SPLIT_FOLDERS)})([^a-z]|[ab]?$)", re.IGNORECASE)
# the end of the name of a mask, or of a folder of masks: a_mask, masks, SegmentationClass, labelsTr
MASK_WORD = re.compile(
    r"(^|(?<!with)(?<!without)[ _.-])(masks?|labels?(tr|ts)?|annotations?|seg|segmentations?"
    r"|segmentationclass|gt|ground[ _-]?truth|manual)\d*$",
    re.IGNORECASE,
)


NUMBERED = re.compile(r"(fold|part|batch|shard|chunk|disk)[ _-]?\d+", re.IGNORECASE)  # no labels
# what names of files have before their numbers: P07 of P07_3.png, or the class of cat.3.jpg
PREFIX = r"([^/]+)[ _.-]+\d+\.\w+$"


def name_split(text: str) -> str:
    """Return the split that a folder or label is named after, or ""."""
    letters = unicodedata.normalize("NFD", text.casefold())
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    match = SPLIT_NAME.fullmatch(plain)
    return SPLIT_FOLDERS[match[1]] if match else ""


class SplitFolders(NamedTuple):
    """Folders of one level that are the splits."""

    level: int  # from 0
    names: dict[str, str]  # split of each folder

    def find_split(self, key: str) -> str:
        return self.names[key.split("/")[self.level]]


def find_split_folders(keys: Sequence[str]) -> SplitFolders | None:
    """Find the first level of folders where all images lie in train and in validation or test.

    Any other folders may have these names for another reason, so that they are labels.
    """
    levels = [*zip(*(key.split("/")[:-1] for key in keys), strict=False)]
    for level, folders in enumerate(levels):
        names = {folder: name_split(folder) for folder in folders}
        if "" not in names.values() and {"train"} < {*names.values()}:
            return SplitFolders(level, names)
    return None


def find_folder_labels(
    keys: Sequence[str], splits: SplitFolders | None
) -> tuple[Sequence[str | None] | None, str]:
    """Return the folder of each image at the first level, but that of splits, where they differ.

    None: there is no such level of which every image has a folder. Images of validation or test
    may all lie in no folder: these have no label. The text says how else the folders can be read,
    if they can.
    """
    bare = splits.level + 1 if splits else 0  # folders around an image that no other is in
    flat = {splits.find_split(key) for key in keys if key.count("/") == bare} if splits else set()
    if "train" in flat:
        flat = set()
    has_label = [not (splits and splits.find_split(key) in flat) for key in keys]
    deep = [key.split("/")[:-1] for key, is_deep in zip(keys, has_label, strict=True) if is_deep]
    levels = list(zip(*deep, strict=False))
    candidates = [k for k, each in enumerate(levels) if k + 1 != bare and len({*each}) > 1]
    level = min(candidates, key=lambda k: all(map(NUMBERED.fullmatch, levels[k])), default=None)
    if level is None:
        return None, describe_loose(keys)
    labels, note = levels[level], ""
    count = len({*labels})
    deeper = [k for k in candidates if k > level]
    finer = [k for k in deeper if len({*zip(labels, levels[k], strict=True)}) > count]
    if finer or level > 0:
        note = f"the folders of level {level + 1} are the labels ({list_names(labels)})"
    if finer:
        number, others = finer[0] + 1, list_names(levels[finer[0]])
        note += f"; --label-folder {number} takes those of level {number} ({others})"
    remaining = iter(labels)
    names = [next(remaining) if is_deep else None for is_deep in has_label]
    return names, note and f"{note}."


def describe_loose(keys: Sequence[str]) -> str:
    """Say that folders are no labels since an image lies in none of them; "" if none lies so."""
    depth = min(key.count("/") for key in keys)
    folders = [key.split("/")[depth] for key in keys if key.count("/") > depth]
    if len({*folders}) < 2:
        return ""
    loose = next(key for key in keys if key.count("/") == depth)
    return (
        f"there are no labels, since {loose} lies beside the folders {list_names(folders)};"
        f" --label-folder {depth + 1} makes them labels."
    )


def describe_splits(keys: Sequence[str], splits: SplitFolders | None, reading: Reading) -> str:
    """Say which folders are splits, or why those that are named so are none; "" if none are."""
    if splits:
        missing = {*SPLIT_NAMES} - {*splits.names.values()}
        text = f" The {missing.pop()} split is drawn from train by seed." if missing else ""
        return (
            f"{', '.join(sorted(splits.names))} are the splits; --splits seeded reads them as any"
            f" other folder, and draws the splits by seed.{text}"
        )
    names = {folder for key in keys for folder in key.split("/")[:-1]}
    similar = sorted(filter(SPLIT_WORD.search, names))
    if reading.splits == "seeded":
        return ""
    if not similar:
        matches = [SPLIT_WORD.search(key.rpartition("/")[2]) for key in keys]
        words = sorted({match[2].lower() for match in matches if match})
        if len(words) < 2 or not all(matches) or reading.label_regex:
            return ""
        return (
            f"file names have {', '.join(words)}; --label-regex '(?i)(?P<split>{'|'.join(words)})'"
            " makes these the splits."
        )
    others = [key for key in keys if not any(map(name_split, key.split("/")[:-1]))]
    example = f"; {others[0]} lies elsewhere" if others else ""
    return (
        f"{', '.join(similar)}: read as any other folder; train, validation and test are drawn"
        f" by seed. Splits are folders train and val or test that hold all images{example}."
    )


def describe_masks(keys: Sequence[str]) -> str:
    """Say that images look like masks of others by their names: masks/1.png of images/1.jpg."""
    masks, images, wholes = {}, set(), set()
    for key in dict.fromkeys(strip_pages(keys)):
        *folders, name = key.split("/")
        stem = name.rpartition(".")[0] or name
        plain = *(each for each in folders if not MASK_WORD.search(each)), MASK_WORD.sub("", stem)
        if plain != (*folders, stem) or plain in wholes:  # or of another suffix: 1.png, 1.jpg
            masks[key] = plain
            continue
        wholes.add(plain)
        places = folders, *(folders[:k] + folders[k + 1 :] for k in range(len(folders)))
        stems = stem, re.sub(r"_\d{4}$", "", stem)  # nnU-Net numbers the channels
        images |= {(*place, each) for place in places for each in stems}
    paired = [key for key, plain in masks.items() if plain in images]
    if not paired:
        return ""
    return (
        f"{pluralize(len(paired), 'image')}, such as {paired[0]}, are named as masks of others are,"
        " and read as images; --exclude FILE, a list of their names, leaves them out."
    )


def describe_prefixes(keys: Sequence[str]) -> str:
    """Say that names of files have prefixes, such as classes or patients; "" if they have none."""
    matches = [re.search(PREFIX, key) for key in keys]
    prefixes = {match[1] for match in matches if match}
    if not all(matches) or not 2 <= len(prefixes) <= len(keys) / 2:
        return ""
    if all(map(name_split, prefixes)):  # as `describe_splits` says
        return ""
    return (
        f"file names begin with {list_names(prefixes)}: {len(prefixes)} in all; --label-regex"
        f" '{PREFIX}' makes these labels, --group-regex '{PREFIX}' keeps each in one split."
    )


def list_names(names: Iterable[str]) -> str:
    return abbreviate_list(sorted({*names}), 3)
