"""A run's images, where they are now."""

from pathlib import Path
from typing import Any

from latentia.core.errors import Error
from latentia.data import Images, open_images
from latentia.data.sources.registry import SourceKind, make_source
from latentia.data.sources.shards import sharded


def open_run_images(path: Path, saved: dict[str, Any], data: Any, same: bool) -> Images:
    """`Run.images` of the run at `path`; saved: what its run.json says of them."""
    if isinstance(data, Images):
        return data
    where = saved["source"] if data is None else data
    if data is None and saved["kind"] == SourceKind.MEMORY:
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
    source = make_source(where, *read)
    images = open_images(source, size=tuple(shape[1:]), channels=shape[0])
    if (same or data is None) and images.spec()["fingerprint"] != saved["fingerprint"]:
        raise Error(
            f"{saved['source']} is no longer what {path} was trained on "
            f"({images.spec()['count']} images now, {saved['count']} then, or other content); "
            "bring the data back, or train a new run."
        )
    return images
