"""Requests of the explorer's page, with their limits."""

from typing import Annotated, Literal

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, Json, model_validator

from latentia.explorer.map_table import MAX_MAP_IMAGES

MAX_UPLOAD_BYTES = 8 * 2**20

Index = Annotated[int, Field(ge=0, lt=2**31)]
Beta = Annotated[float, Field(gt=0)]
Condition = Annotated[str, Field(min_length=1, max_length=1000)]


class StrictModel(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class RunsQuery(BaseModel):
    """A request to describe the runs, each at a beta if it is one of many betas."""

    betas: Json[dict[Index, Beta]] = {}


class RunRequest(StrictModel):
    """A request to the run with index `run`.

    beta: of a run of many betas, by default that of its training; file: suffix of the picture as a
    command writes it, by default the response is JSON for the page
    """

    run: Index = 0
    beta: Beta | None = None
    file: Literal[".png", ".gif"] | None = None


class ImageSource(StrictModel):
    """An image: a file's bytes in base64 with its name, or an index in the data of run `of`."""

    index: Index | None = None
    of: Index | None = None
    file: Annotated[Base64Bytes, Field(max_length=MAX_UPLOAD_BYTES)] | None = None
    name: Annotated[str, Field(max_length=200)] = ""

    @model_validator(mode="after")
    def check_one_source(self) -> "ImageSource":
        if (self.index is None) == (self.file is None):
            raise ValueError("give an index or a file")
        return self


class DecodeRequest(RunRequest):
    latents: Annotated[list[list[float]], Field(min_length=1, max_length=64)]
    cond: Condition | None = None


class ImageRequest(RunRequest):
    image: ImageSource
    n: Annotated[int, Field(ge=1, le=48)] = 8


class InterpolationRequest(RunRequest):
    images: Annotated[list[ImageSource], Field(min_length=2, max_length=8)]
    steps: Annotated[int, Field(ge=2, le=64)] = 10
    spherical: bool = False


class SamplingOptions(StrictModel):
    sampler: Annotated[str, Field(max_length=20)] | None = None
    steps: Annotated[int, Field(ge=1, le=1000)] | None = None
    guidance: Annotated[float, Field(ge=0, le=100)] | None = None


class SampleRequest(RunRequest):
    n: Annotated[int, Field(ge=1, le=64)] = 16
    seed: Annotated[int, Field(ge=0, lt=2**53)] = 0
    cond: Condition | None = None
    standard: bool = False
    options: SamplingOptions = SamplingOptions()


class MapRequest(RunRequest):
    kind: Literal["pca", "dims", "umap", "own"] = "pca"
    dims: Annotated[list[Index], Field(min_length=2, max_length=2)] = [0, 1]
    column: Annotated[str, Field(max_length=200)] | None = None


class ThumbnailsRequest(RunRequest):
    rows: Annotated[list[Index], Field(min_length=1, max_length=64)]


class SearchRequest(RunRequest):
    text: Annotated[str, Field(min_length=1, max_length=200)]


class SelectionRequest(RunRequest):
    rows: Annotated[list[Index], Field(min_length=1, max_length=MAX_MAP_IMAGES)]
