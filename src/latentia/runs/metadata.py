"""The fields of run.json, which every command checks when it opens a run."""

import math
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict

from annotated_types import Ge

from latentia.core.errors import Error
from latentia.core.json_types import check_json
from latentia.data.reading import Reading
from latentia.data.sources.registry import SourceKind
from latentia.training.plan import Options

FORMAT = 2  # of run.json and log.jsonl
MAX_VALUES = 2**30  # of an image
Count = Annotated[int, Ge(0)]
Length = Annotated[int, Ge(1)]


class SplitCounts(NamedTuple):
    train: Count
    validation: Count
    test: Count


class ImagesMetadata(TypedDict):
    """The images of a run, as `Images.to_metadata` describes them."""

    source: str
    kind: Literal[tuple(map(str, SourceKind))]  # pyright: ignore[reportInvalidTypeForm]
    shape: tuple[Length, Length, Length]
    count: SplitCounts
    labels: dict[str, list[str] | None]
    columns: dict[str, list[Length]]
    fingerprint: str
    preprocessing: Reading
    split: Reading
    reading: NotRequired[Reading]
    levels: NotRequired[tuple[Length | None, float]]
    joined: NotRequired[str]
    unreadable: NotRequired[list[dict[str, str]]]
    label_source: NotRequired[str]
    streamed: NotRequired[bool]


class Machine(TypedDict):
    latentia: str


class RunMetadata(TypedDict):
    """Settings of a run."""

    format: Literal[2]
    recipe: str
    arguments: dict[str, Any]
    modifiers: dict[str, dict[str, Any]]
    options: Options
    images: ImagesMetadata
    notes: list[str]
    parameters: dict[str, Count]
    machine: Machine
    auto_options: NotRequired[list[str]]
    init: NotRequired[dict[str, str]]
    extended: NotRequired[list[dict[str, Count]]]


def check_metadata(content: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a run.json of any version in the present format.

    Raises: Error that names the first field that is missing or of another type
    """
    metadata = upgrade_first_format(content)
    check_json(metadata, RunMetadata)
    if math.prod(shape := metadata["images"]["shape"]) > MAX_VALUES:
        raise Error(f"images.shape is {shape}, and must have at most {MAX_VALUES:,} values.")
    if table := metadata["modifiers"].get("supervise", {}).pop("labels", None):
        metadata["images"]["label_source"] = str(table)  # of all its columns, once of some
        metadata["images"].pop("joined", None)
    for name, values in metadata["modifiers"].items():
        if name not in values:
            raise Error(f"modifiers.{name} lacks {name}.")
    for name in metadata.get("auto_options", ()):
        if name not in metadata["options"]:
            raise Error(f"auto_options has {name}, and must be names of options.")
    return metadata


def upgrade_first_format(content: dict[str, Any]) -> dict[str, Any]:
    """Convert the content of a run.json of format 1, which has no format number."""
    if "format" in content:
        return content
    renamed = {"modifiers" if key == "edits" else key: value for key, value in content.items()}
    if isinstance(images := renamed.get("images"), dict):
        in_memory = str(images.get("source")).startswith("array of ")
        kind = SourceKind.MEMORY if in_memory else SourceKind.ADDRESS
        renamed["images"] = {"kind": kind, **images}
    return {"format": FORMAT, **renamed}
