"""Open the images of a run, at their old place or a new one."""

from pathlib import Path
from typing import Any

from latentia.core.errors import Error
from latentia.core.files import find_absolute_path
from latentia.core.text import pluralize
from latentia.data import Images, open_images
from latentia.data.reading import Reading
from latentia.data.sources.registry import LabelledData, SourceKind, make_source
from latentia.data.sources.shards import is_shard_source


def open_run_images(path: Path, metadata: dict[str, Any], data: Any, require_same: bool) -> Images:
    """Open the images of the run at `path`, as `RunFolder.images` does.

    metadata: the entry "images" of run.json.
    """
    if isinstance(data, Images):
        return data
    labels = data.labels if isinstance(data, LabelledData) else None
    data = data.data if isinstance(data, LabelledData) else data
    source_of_labels = metadata.get("label_source", SourceKind.MEMORY)
    if (require_same or data is None) and labels is None and source_of_labels != SourceKind.MEMORY:
        labels = source_of_labels
        if not Path(labels).exists():
            raise Error(f"The labels of {path} ({labels}) cannot be found; bring the table back.")
    location = metadata["source"] if data is None else data
    stream = metadata.get("streamed", False)
    if data is None:
        if metadata["kind"] == SourceKind.MEMORY:
            raise Error(f"{path} was trained on an {location} in memory; give it again as data.")
        if are_images_missing(metadata):
            reason = f"The images of {path} ({location}) cannot be found here"
            raise Error(f"{reason}; give them with --data.")
    stream = stream and (data is None or require_same or is_shard_source(data))
    channels, *size = metadata["shape"]
    location = LabelledData(location, labels) if labels is not None else location
    source = make_source(location, Reading.from_metadata(metadata, stream=stream))
    images = open_images(source, size=tuple(size), channels=channels)
    now = images.to_metadata()
    if (require_same or data is None) and now["fingerprint"] != metadata["fingerprint"]:
        raise Error(
            f"{metadata['source']} is no longer what {path} was trained on "
            f"({_describe_change(metadata, now)}); bring the data back, or train a new run."
        )
    return images


def are_images_missing(metadata: dict[str, Any]) -> bool:
    """Whether the images of a run were at a path where there is nothing now."""
    source = metadata["source"]
    if metadata["kind"] == SourceKind.MEMORY or not find_absolute_path(source):
        return False
    is_pattern = metadata.get("streamed", False) and set(source) & set("*?[")
    return not is_pattern and not Path(source).exists()


def describe_images(metadata: dict[str, Any]) -> str:
    """Describe source, splits and shape; metadata: the entry "images" of run.json."""
    channels, h, w = metadata["shape"]
    counts = _describe_counts(metadata)
    kind = {1: "grey", 3: "colour"}.get(channels, f"{channels} channels")
    labels = [
        f"{name} ({pluralize(len(names), 'class', 'classes')})" if names else name
        for name, names in metadata.get("labels", {}).items()
        if not metadata.get("columns", {}).get(name)  # a column of images
    ]
    text = f"; labels: {', '.join(labels)}" if labels else ""
    return f"{metadata['source']}: {counts}; {h}x{w} {kind}{text}"


def _describe_counts(metadata: dict[str, Any]) -> str:
    return ", ".join(f"{n:,} {split}" for split, n in metadata["count"].items())


def _describe_change(then: dict[str, Any], now: dict[str, Any]) -> str:
    if now["count"] == then["count"]:
        return f"as many images, {_describe_counts(now)}, but other content or labels"
    return f"{_describe_counts(now)} now; {_describe_counts(then)} then"
