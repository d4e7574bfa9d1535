"""A run's images, where they are now."""

from pathlib import Path
from typing import Any

from latentia.core.errors import Error
from latentia.data import Images, open_images
from latentia.data.sources.registry import SourceKind, make_source
from latentia.data.sources.shards import is_shard_source


def open_run_images(
    path: Path, image_metadata: dict[str, Any], data: Any, require_same: bool
) -> Images:
    """`Run.images` of the run at `path`; saved: what its run.json says of them."""
    if isinstance(data, Images):
        return data
    location = image_metadata["source"] if data is None else data
    if data is None and image_metadata["kind"] == SourceKind.MEMORY:
        raise Error(f"{path} was trained on an {location} in memory; give it again as data.")
    stream = image_metadata.get("streamed", False) and (
        data is None or require_same or is_shard_source(data)
    )
    is_pattern = stream and set(location) & set("*?[")
    if (
        data is None
        and not is_pattern
        and Path(location).is_absolute()
        and not Path(location).exists()
    ):
        raise Error(
            f"The images of {path} ({location}) cannot be found here; give them, or others, "
            "with --data."
        )
    preprocessing, split, shape = (
        image_metadata["preprocessing"],
        image_metadata["split"],
        image_metadata["shape"],
    )
    source_options = (
        preprocessing["white"],
        preprocessing["background"],
        split["seed"],
        split["validation"],
        stream,
    )
    source = make_source(location, *source_options)
    images = open_images(source, size=tuple(shape[1:]), channels=shape[0])
    if (require_same or data is None) and images.to_metadata()["fingerprint"] != image_metadata[
        "fingerprint"
    ]:
        raise Error(
            f"{image_metadata['source']} is no longer what {path} was trained on "
            f"({images.to_metadata()['count']} images now, {image_metadata['count']} then, or other content); "
            "bring the data back, or train a new run."
        )
    return images
