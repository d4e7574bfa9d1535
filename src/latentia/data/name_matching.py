"""Names of images in a table, matched to the images' keys whatever their folders and letters."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import unquote

from latentia.core.errors import Error
from latentia.core.text import abbreviate_list, pluralize
from latentia.data.pages import IMAGE_SUFFIXES
from latentia.data.tiles import parse_tile_key

NAME_COLUMNS = ("key", "file_name", "filename", "file", "path", "image", "name")
# the apostrophe of a cell that a spreadsheet would otherwise take for a formula
ESCAPE = re.compile(r"^'(?=\s*[=+\-@＝＋－＠])")
MAX_SAMPLE = 500  # cells of a column that are compared with the images, to find the names


class NamedRows(NamedTuple):
    """Rows of a table by the key that they name, or the file of a key FILE#PAGE."""

    rows: Any  # data frame without the column of names
    unknown: list[str]  # names that are no image's, or several images'
    column: str  # the column of names
    names: list[str]
    has_image_in_header: bool = False  # the column's own name is that of an image without a row


def clean_path(name: str) -> str:
    text = ESCAPE.sub("", unicodedata.normalize("NFC", name.strip()))
    parts = text.strip().replace("\\", "/").split("/")
    return "/".join(part for part in parts if part not in ("", "."))


def drop_suffix(name: str) -> str:
    path = PurePosixPath(clean_path(name))
    return str(path.with_suffix("") if path.suffix.lower() in IMAGE_SUFFIXES else path)


def fold_case(name: str) -> str:
    """Return the name in small letters without its suffix; an address loses its query."""
    path = name.partition("?")[0] if "://" in name else name
    return drop_suffix(unquote(path)).casefold()


def drop_zeros(name: str) -> str:
    """Return a name whose numbers have no zeros before them, as a spreadsheet leaves them."""
    return re.sub(r"(?<!\d)0+(?=\d)", "", fold_case(name))


def drop_other_suffix(name: str) -> str:
    """Return a name without the suffix of the file that the image was made of, such as .dcm."""
    return re.sub(r"(\.[a-z][a-z0-9]{1,4}){1,2}$", "", fold_case(name))


def list_ends(path: str) -> list[str]:
    """List the ends of a path: a/b/c, b/c, c."""
    parts = path.split("/")
    return ["/".join(parts[k:]) for k in range(len(parts))]


def cut_path(path: str, depth: int) -> str:
    return "/".join(path.split("/")[-depth:])


def strip_pages(keys: Sequence[str]) -> list[str]:
    """Return the file of each key: a.tif of a.tif#64,0 and of a.tif#3, if it has pages 0 and 1."""
    keys = [parse_tile_key(key)[0] for key in keys]
    present = set(keys)
    files = [re.sub(r"#\d+$", "", key) for key in keys]
    pairs = zip(files, keys, strict=True)
    return [file if present >= {f"{file}#0", f"{file}#1"} else key for file, key in pairs]


class PathIndex:
    """Targets by their paths, and by every end of these."""

    def __init__(self, targets: Iterable[str], simplify: Callable[[str], str]):
        self.by_path: dict[str, list[str]] = {}
        self.by_end: dict[str, list[str]] = {}
        for target in targets:
            path = simplify(target)
            self.by_path.setdefault(path, []).append(target)
            for end in list_ends(path):
                self.by_end.setdefault(end, []).append(target)

    def match(self, paths: Mapping[str, str]) -> dict[str, str]:
        """Return the only target of each name that has one.

        It is the one of the same path, else the one whose path ends in the name's, else the one in
        whose path the name's ends, else the one of the same base name, or of so many last parts of
        the path as tell all images and all names apart.
        """
        depth, matches = self.find_depth(paths.values()), {}
        for name, path in paths.items():
            whole = (self.by_path[end] for end in list_ends(path) if end in self.by_path)
            targets = self.by_path.get(path) or self.by_end.get(path) or next(whole, None)
            targets = targets or (depth and self.by_end.get(cut_path(path, depth))) or []
            if len(targets) == 1:
                matches[name] = targets[0]
        return matches

    def find_depth(self, paths: Iterable[str]) -> int | None:
        """Return the least number of last parts that tell all paths apart, here and there."""
        groups = {*self.by_path}, set(paths)
        for depth in range(1, 1 + max(path.count("/") + 1 for path in self.by_path)):
            if all(len({cut_path(p, depth) for p in group}) == len(group) for group in groups):
                return depth
        return None


class NameMatcher:
    """Matching of names, if one image fits.

    As written, else without suffix, else in any case, else without the suffix of another kind of
    file; numbers also without zeros before them.
    """

    def __init__(self, keys: Sequence[str]):
        self.targets = dict.fromkeys([*keys, *strip_pages(keys)])
        self.indices: dict[Callable[[str], str], PathIndex] = {}

    def match(self, names: Iterable[str]) -> dict[str, str]:
        """Return the target, a key or the file of its pages, of each name that has one."""
        names, matches = set(names), {}
        for simplify in (clean_path, drop_suffix, fold_case, drop_other_suffix):
            if len(matches) < len(names) and self.targets:
                matches = self.match_by(simplify, names) | matches
        numbers = {name for name in names - matches.keys() if name.isdecimal()}
        are_ids = len(numbers) >= min(len(self.targets), MAX_SAMPLE) / 2  # else they are labels
        if self.targets and numbers and are_ids:
            matches |= self.match_by(drop_zeros, numbers)
        return matches

    def match_by(self, simplify: Callable[[str], str], names: Iterable[str]) -> dict[str, str]:
        if simplify not in self.indices:
            self.indices[simplify] = PathIndex(self.targets, simplify)
        return self.indices[simplify].match({name: simplify(name) for name in names})

    def count_matches(self, cells: Any) -> int:
        """Count the images that a sample of the cells names."""
        cells = cells.dropna()
        sample = cells.iloc[:: max(1, len(cells) // MAX_SAMPLE)]
        return len(set(self.match(map(str, sample)).values()))


def name_rows(table: Any, keys: Sequence[str]) -> NamedRows:
    """Find the column whose cells name the most images, and the image of each row.

    If several do, a usual name of such a column decides, then text before numbers, then the order.
    Numbers that are repeated are labels, unless they name most of the images.
    """
    matcher, usual = NameMatcher(keys), {name: -k for k, name in enumerate(NAME_COLUMNS)}
    counts = {name: matcher.count_matches(cells) for name, cells in table.items()}

    def rank(name: Any) -> tuple[int, int, bool]:
        is_text = table[name].dtype.kind not in "biuf"
        is_label = not is_text and counts[name] < len(keys) / 2 and table[name].duplicated().any()
        return 0 if is_label else counts[name], usual.get(str(name).lower(), -99), is_text

    column = max(counts, key=rank)
    names = table[column].map(str, na_action="ignore").fillna("")
    matches = matcher.match(names)
    is_known = names.isin(list(matches))
    rows = table.drop(columns=column)[is_known].set_axis(names[is_known].map(matches).tolist())
    header = matcher.match([str(column)]).values()
    has_image = not {*header} <= {*rows.index}
    return NamedRows(rows, list(names[~is_known].unique()), str(column), list(names), has_image)


def merge_duplicates(rows: Any, origin: Any) -> Any:
    """Return one row for each key, of the first cell in each column that has a value.

    Raises: Error if two rows of a key differ.
    """
    doubles = rows[rows.index.duplicated(keep=False)]
    if doubles.empty:
        return rows
    listing = []
    for key, group in doubles.astype(str).where(doubles.notna()).groupby(level=0, sort=False):
        values = [
            f"{n} {' and '.join(v.dropna().unique())}" for n, v in group.items() if v.nunique() > 1
        ]
        listing += [f"{key} ({', '.join(values)})"] if values else []
    if listing:
        count, names = pluralize(len(listing), "image"), abbreviate_list(listing, 5)
        raise Error(f"{origin} names {count} twice: {names}; give one row an image, by its path.")
    return rows.groupby(level=0, sort=False).first()


def spread_rows(rows: Any, keys: Sequence[str]) -> tuple[Any, list[str]]:
    """Put rows into the order of the keys, those of a file for all its pages; list keys without."""
    present = set(rows.index)
    pairs = zip(keys, strip_pages(keys), strict=True)
    targets = [key if key in present else file for key, file in pairs]
    missing = [key for key, target in zip(keys, targets, strict=True) if target not in present]
    return rows.reindex(targets).set_axis(list(keys)), missing


def describe_mismatch(content: NamedRows, missing: int, keys: Sequence[str]) -> str:
    names, images = abbreviate_list(content.names, 3) or "nothing", abbreviate_list(keys, 3)
    return (
        f"has no row for {missing:,} of {pluralize(len(keys), 'image')}: its column"
        f" '{content.column}' holds {names}, and the images are {images}; give one row an image,"
        " named by its path in the folder."
    )
