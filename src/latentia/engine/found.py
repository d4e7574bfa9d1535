"""A run's images, where they are now."""

from pathlib import Path
from typing import Any

from torch import Tensor

from latentia.core.errors import Error
from latentia.data import Images, Source, Split, open_images
from latentia.data.shards import sharded


def images_of(path: Path, saved: dict[str, Any], data: Any, same: bool) -> Images:
    """`Run.images` of the run at `path`; saved: what its run.json says of them."""
    if isinstance(data, Images):
        return data
    where = saved["source"] if data is None else data
    if isinstance(where, str) and where.startswith("array of "):
        raise Error(f"{path} was trained on an {where} in memory; give it again as data.")
    streamed = saved.get("streamed", False) and (data is None or same or sharded(data))
    pattern = streamed and set(where) & set("*?[")
    if data is None and not pattern and Path(where).is_absolute() and not Path(where).exists():
        raise Error(
            f"The images of {path} ({where}) cannot be found here; give them, or others, "
            "with --data."
        )
    how, split, shape = saved["preprocessing"], saved["split"], saved["shape"]
    read = how["white"], how["background"], split["seed"], split["validation"], streamed
    source = source_of(where, *read)
    images = open_images(source, size=tuple(shape[1:]), channels=shape[0])
    if (same or data is None) and images.spec()["fingerprint"] != saved["fingerprint"]:
        raise Error(
            f"{saved['source']} is no longer what {path} was trained on "
            f"({images.spec()['count']} images now, {saved['count']} then, or other content); "
            "bring the data back, or train a new run."
        )
    return images


def source_of(data: Any, *how: Any) -> Source:
    return data if isinstance(data, Source) else Source(data, *how)


def keyed(run: Any, name: str, split: str | None, data: Any) -> tuple[str | None, Tensor]:
    """The key, if it has one, and the image (1, c, h, w) that a user means: a file; a number, which
    counts in the split or, where none is named, among all; or a key, as `encode` writes it.

    Raises: Error if it is not there, or cannot be read.
    """
    numbered = name.isdecimal()
    if not numbered and Path(name).expanduser().is_file():
        return None, Images.described(run.about["images"]).preprocess([name])[:1]
    try:
        part = run.part(split if split and numbered else "all", data)
    except Error as why:
        if numbered:
            raise
        raise Error(
            f"There is no file {name}, nor can images of such a key be read: {why}"
        ) from None
    row = row_of(name, part)
    return part.keys[row], part.batch(slice(row, row + 1)).image


def one_image(name: str, part: Split) -> Tensor:
    """(1, c, h, w) in [0, 1]: the image of this number or key."""
    row = row_of(name, part)
    return part.batch(slice(row, row + 1)).image


def row_of(name: str, part: Split) -> int:
    """Raises: Error if there is no image of this number or key."""
    if (row := part.row(name)) is None:
        named = "" if part.called(0).isdecimal() else f", the first of them {part.keys[0]}"
        raise Error(f"There is no image {name} in {part.name}; it has {len(part)}, from 0{named}.")
    return row


def called(name: str, split: str | None) -> str:
    """In captions: a number says what it counts in, if that is not all images."""
    within = f" of {split}" if split not in (None, "all") and name.isdecimal() else ""
    return f"image {name}{within}"
