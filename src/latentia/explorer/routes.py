"""The explorer's routes: what a client may ask, in which ranges, and what it is answered."""

import base64
import io
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from PIL import Image
from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, FiniteFloat, model_validator
from torch import Tensor

from latentia.core.errors import Error
from latentia.core.tensors import to_bytes, to_display_channels
from latentia.explorer.projection import project_latents, round_values
from latentia.explorer.session import InputImage, RenderedResponse, RunSession
from latentia.explorer.summary import describe_run, list_map_columns
from latentia.explorer.worker import Worker
from latentia.latents.encoding import name_dims

PAGE_FOLDER = Path(__file__).parent
PAGE_FILES = {"/": "explorer.html", "/explorer.css": "explorer.css", "/explorer.js": "explorer.js"}
MEDIA_TYPES = {".png": "image/png", ".gif": "image/gif"}
MAX_UPLOAD_BYTES = 8 * 2**20  # bytes of a file

Index = Annotated[int, Field(ge=0, lt=2**31)]


class RunRequest(BaseModel):
    """Of which run; file: the picture as a command writes it, not its parts for the page."""

    model_config = ConfigDict(extra="forbid")
    run: Index = 0
    file: Literal[".png", ".gif"] | None = None


class ImageSource(BaseModel):
    """An image: a file's bytes in base64 with its name, or an index into the data of run `of`."""

    model_config = ConfigDict(extra="forbid")
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
    latents: Annotated[list[list[FiniteFloat]], Field(min_length=1, max_length=64)]


class ImageRequest(RunRequest):
    image: ImageSource
    n: Annotated[int, Field(ge=1, le=48)] = 8


class WalkRequest(RunRequest):
    images: Annotated[list[ImageSource], Field(min_length=2, max_length=8)]
    steps: Annotated[int, Field(ge=2, le=64)] = 10
    spherical: bool = False


class SamplingOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")
    sampler: Annotated[str, Field(max_length=20)] | None = None
    steps: Annotated[int, Field(ge=1, le=1000)] | None = None
    guidance: Annotated[FiniteFloat, Field(ge=0, le=100)] | None = None


class SampleRequest(RunRequest):
    n: Annotated[int, Field(ge=1, le=64)] = 16
    seed: Annotated[int, Field(ge=0, lt=2**53)] = 0
    cond: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    standard: bool = False
    options: SamplingOptions = SamplingOptions()


class BetaRequest(RunRequest):
    """read: it stays so, and the images are to be read for it."""

    beta: Annotated[FiniteFloat, Field(gt=0)]
    read: bool = False


class MapRequest(RunRequest):
    kind: Literal["pca", "dims", "umap"] = "pca"
    dims: Annotated[list[Index], Field(min_length=2, max_length=2)] = [0, 1]
    column: Annotated[str, Field(max_length=200)] | None = None


def create_application(sessions: list[RunSession], worker: Worker) -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.exception_handler(Error)
    async def handle_error(request: Request, problem: Exception) -> JSONResponse:
        return JSONResponse({"detail": str(problem)}, 422)

    @app.exception_handler(RequestValidationError)
    async def handle_invalid_request(
        request: Request, problem: RequestValidationError
    ) -> JSONResponse:
        return JSONResponse({"detail": describe_problem(problem)}, 422)

    def get_session(request: RunRequest) -> RunSession:
        if request.run >= len(sessions):
            raise Error(f"There is no run {request.run}; there are {len(sessions)}, from 0.")
        return sessions[request.run]

    def load_image(session: RunSession, source: ImageSource) -> InputImage:
        get_session(RunRequest(run=source.of or 0))
        return session.load_image(source, sessions)

    async def respond(
        request: RunRequest, make_response: Callable[[], RenderedResponse]
    ) -> Response:
        def render() -> Response:
            rendered_response = make_response()
            if request.file:
                if request.file not in rendered_response.rendered_images.encoders:
                    raise Error(f"This picture has no {request.file}; ask for .png.")
                return Response(
                    rendered_response.rendered_images.encoders[request.file](),
                    media_type=MEDIA_TYPES[request.file],
                )
            image_urls = [
                to_data_url(image)
                for image in to_display_channels(rendered_response.rendered_images.images)
            ]
            commands = {
                f"command{suffix}": rendered_response.format_command(suffix)
                for suffix in rendered_response.rendered_images.encoders
                if suffix in MEDIA_TYPES
            }
            return JSONResponse({"images": image_urls, **commands, **rendered_response.extra})

        return await worker.run_async(render)

    for route, name in PAGE_FILES.items():
        app.get(route)(lambda name=name: FileResponse(PAGE_FOLDER / name))

    @app.get("/api/runs")
    def list_runs() -> JSONResponse:  # as the map: histograms take their time
        return JSONResponse({"runs": [describe_run(session) for session in sessions]})

    @app.post("/api/encode")
    async def encode_image(request: ImageRequest) -> JSONResponse:
        session = get_session(request)

        def encode_now() -> JSONResponse:
            input_image = load_image(session, request.image)
            return JSONResponse(
                {
                    **session.encode_image(input_image),
                    "image": to_data_url(to_display_channels(input_image.image)[0]),
                }
            )

        return await worker.run_async(encode_now)

    @app.post("/api/decode")
    async def decode_latents(request: DecodeRequest) -> Response:
        session = get_session(request)
        return await respond(request, lambda: session.decode_latents(request.latents))

    @app.post("/api/reconstruct")
    async def reconstruct_image(request: ImageRequest) -> Response:
        session = get_session(request)
        return await respond(
            request, lambda: session.reconstruct_image(load_image(session, request.image))
        )

    @app.post("/api/nearest")
    async def find_nearest(request: ImageRequest) -> Response:
        session = get_session(request)
        return await respond(
            request, lambda: session.find_nearest(load_image(session, request.image), request.n)
        )

    @app.post("/api/walk")
    async def walk_images(request: WalkRequest) -> Response:
        session = get_session(request)
        walk_arguments = request.steps, request.spherical
        return await respond(
            request,
            lambda: session.walk_images(
                [load_image(session, image) for image in request.images], *walk_arguments
            ),
        )

    @app.post("/api/sample")
    async def draw_samples(request: SampleRequest) -> Response:
        session, sampling_options = (
            get_session(request),
            request.options.model_dump(exclude_none=True),
        )
        sample_arguments = request.n, request.seed, request.cond, sampling_options, request.standard
        return await respond(request, lambda: session.draw_samples(*sample_arguments))

    @app.post("/api/beta")
    async def change_beta(request: BetaRequest) -> JSONResponse:
        session = get_session(request)
        await worker.run_async(session.set_beta, request.beta)
        if request.read:
            threading.Thread(target=session.load_latents, daemon=True).start()
        return JSONResponse({"beta": request.beta})

    @app.post("/api/map")
    def project_map(
        request: MapRequest,
    ) -> JSONResponse:  # in a thread of its own: UMAP takes its time
        return JSONResponse(compute_map(get_session(request), request))

    return app


def compute_map(session: RunSession, request: MapRequest) -> dict[str, Any]:
    """Places, their indices, and the values of a column."""
    map_latents, maps = session.map_latents, session.cache
    if map_latents is None or session.data_split is None:
        session.require_encoder()
        raise Error(session.missing_reason or "The images are still being read; wait a little.")
    n_dims = map_latents.mean.shape[1]
    if max(request.dims) >= n_dims and request.kind == "dims":
        raise Error(f"There is no dimension {max(request.dims)}; there are {n_dims}, from 0.")
    key = (request.kind, *request.dims)
    if key not in maps:
        dim_names = name_dims(session.autoencoder.latent_shape)
        maps[key] = project_latents(request.kind, map_latents.mean, request.dims, dim_names)
    projection, rows = maps[key], session.map_rows
    if request.column is not None and request.column not in list_map_columns(session.data_split):
        raise Error(f"The data have no column {request.column} of finite numbers.")
    values = (
        [] if request.column is None else session.data_split.columns[request.column][rows].tolist()
    )
    return {
        "places": round_values(projection.places),
        "origin": None if projection.origin is None else round_values(projection.origin, 6),
        "axes": None if projection.axes is None else round_values(projection.axes, 6),
        "names": projection.names,
        "rows": rows.tolist(),
        "called": [session.data_split.display_name(row) for row in rows.tolist()],
        "values": values,
    }


def to_data_url(image: Tensor) -> str:
    """A picture (c, h, w) as it is, no pixel enlarged, as the address of an <img>."""
    array = to_bytes(image).permute(1, 2, 0).numpy()
    file = io.BytesIO()
    Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array).save(file, "png")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def describe_problem(problem: RequestValidationError) -> str:
    """The first thing that is wrong with a request."""
    first_error = problem.errors()[0]
    location = ".".join(
        str(location_part) for location_part in first_error["loc"] if location_part != "body"
    )
    message = str(first_error["msg"])
    message = message[0].lower() + message[1:]
    return f"The request cannot be used: {f'{location}: ' if location else ''}{message}."
