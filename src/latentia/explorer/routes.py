"""Routes of the explorer: the response to each request."""

import base64
import io
import math
import mimetypes
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from torch import Tensor

from latentia.core.errors import Error
from latentia.data.splits import evenly_spaced_rows
from latentia.explorer import map_table
from latentia.explorer import request_types as types
from latentia.explorer.images import InputImage, Rendering
from latentia.explorer.projection import project_latents, round_values
from latentia.explorer.session import RunSession
from latentia.explorer.summary import describe_run
from latentia.explorer.worker import Worker
from latentia.latents.encoding import name_dims
from latentia.latents.thumbnails import to_pillow

PAGE_FOLDER = Path(__file__).parent
PAGE_FILES = {"/": "explorer.html", "/explorer.css": "explorer.css", "/explorer.js": "explorer.js"}
MEDIA_TYPES = {".png": "image/png", ".gif": "image/gif"}
MAX_BETAS = 16  # whose latents the explorer remembers


def create_application(sessions: list[RunSession], worker: Worker) -> FastAPI:
    """Return the application: the page's files, and the routes below /api."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.exception_handler(Error)
    async def handle_error(request: Request, problem: Exception) -> JSONResponse:
        return JSONResponse({"detail": str(problem)}, 422)

    @app.exception_handler(RequestValidationError)
    async def handle_invalid(request: Request, problem: RequestValidationError) -> JSONResponse:
        return JSONResponse({"detail": describe_problem(problem)}, 422)

    at_beta: dict[tuple[int, float], RunSession] = {}
    lock, map_worker, table_worker = threading.Lock(), Worker(), Worker()
    umap_worker = Worker()  # which takes long, and no other map waits for it

    def get_session(run: int, beta: float | None = None) -> RunSession:
        if run >= len(sessions):
            raise Error(f"There is no run {run}; there are {len(sessions)}, counted from 0.")
        if beta in (None, sessions[run].beta):
            return sessions[run]
        with lock:
            session = at_beta.pop((run, beta), None) or sessions[run].with_beta(beta)
            at_beta[run, beta] = session  # as the newest
            while len(at_beta) > MAX_BETAS:
                del at_beta[next(iter(at_beta))]
            return session

    def load_image(session: RunSession, source: types.ImageSource) -> InputImage:
        owner = session if source.of is None else get_session(source.of)
        return session.load_image(source, owner)

    async def respond(
        request: types.RunRequest, render: Callable[..., Any], *sources: types.ImageSource
    ) -> Response:
        """Call `render` in the worker, with the session and the images of sources.

        It returns a Rendering, or the content of a JSON response.
        """
        session = get_session(request.run, request.beta)

        def make_response() -> Response:
            session.use_beta()
            loaded = [load_image(session, source) for source in sources]
            with session.use_labels(loaded):
                rendering = render(session, *loaded)
            if isinstance(rendering, dict):
                return JSONResponse(rendering)
            images, encoders, *_ = rendering.images
            if request.file:
                if request.file not in encoders:
                    raise Error(f"This picture has no {request.file}; ask for .png.")
                return Response(encoders[request.file](), media_type=MEDIA_TYPES[request.file])
            urls = [to_data_url(image) for image in images]
            suffixes = [suffix for suffix in encoders if suffix in MEDIA_TYPES]
            commands = {f"command{each}": rendering.format_command(each) for each in suffixes}
            return JSONResponse({"images": urls, **commands, **rendering.extra})

        return await worker.run_async(make_response)

    for route, name in PAGE_FILES.items():
        app.get(route)(make_page_route(PAGE_FOLDER / name))

    # A route without `async`, since it takes long: such functions run in threads of their own.
    @app.get("/api/runs")
    def list_runs(query: Annotated[types.RunsQuery, Query()]) -> JSONResponse:
        listed_sessions = [get_session(k, query.betas.get(k)) for k in range(len(sessions))]
        paths = [each.run.path for each in sessions]
        for session in (each for each in listed_sessions if each not in sessions):
            session.start_reading()
        return JSONResponse({"runs": [describe_run(each, paths) for each in listed_sessions]})

    @app.post("/api/map")
    async def project_map(request: types.MapRequest) -> JSONResponse:
        session = get_session(request.run, request.beta)
        chosen_worker = umap_worker if request.kind == "umap" else map_worker
        return JSONResponse(await chosen_worker.run_async(compute_map, session, request))

    @app.post("/api/thumbnails")
    async def send_thumbnails(request: types.ThumbnailsRequest) -> JSONResponse:
        _, _, split = get_session(request.run, request.beta).require_map()
        files = await table_worker.run_async(map_table.render_thumbnails, split, request.rows)
        names = [split.display_name(row) for row in request.rows]
        return JSONResponse({"images": [*map(make_data_url, files)], "names": names})

    @app.post("/api/find")
    async def find_images(request: types.SearchRequest) -> JSONResponse:
        _, _, split = get_session(request.run, request.beta).require_map()
        rows = await table_worker.run_async(map_table.find_keys, split, request.text)
        return JSONResponse({"rows": rows[: map_table.MAX_MAP_IMAGES], "count": len(rows)})

    @app.post("/api/selection")
    async def send_selection(request: types.SelectionRequest) -> Response:
        _, table, split = get_session(request.run, request.beta).require_map()
        content = await table_worker.run_async(
            map_table.write_selection, table, len(split), request.rows
        )
        return Response(content, media_type="text/csv")

    @app.post("/api/encode")
    async def encode_image(request: types.ImageRequest) -> Response:
        def render(session: RunSession, image: InputImage) -> dict[str, Any]:
            return {**session.encode_image(image), "image": to_data_url(image.image[0])}

        return await respond(request, render, request.image)

    @app.post("/api/decode")
    async def decode_latents(request: types.DecodeRequest) -> Response:
        arguments = request.latents, request.cond
        return await respond(request, lambda session: session.decode_latents(*arguments))

    @app.post("/api/reconstruct")
    async def reconstruct_image(request: types.ImageRequest) -> Response:
        return await respond(request, RunSession.reconstruct_image, request.image)

    @app.post("/api/nearest")
    async def find_nearest(request: types.ImageRequest) -> Response:
        def render(session: RunSession, image: InputImage) -> Rendering:
            return session.find_nearest(image, request.n)

        return await respond(request, render, request.image)

    @app.post("/api/walk")
    async def interpolate_images(request: types.InterpolationRequest) -> Response:
        def render(session: RunSession, *images: InputImage) -> Rendering:
            return session.interpolate_images(images, request.steps, request.spherical)

        return await respond(request, render, *request.images)

    @app.post("/api/sample")
    async def draw_samples(request: types.SampleRequest) -> Response:
        options = request.options.model_dump(exclude_none=True)
        arguments = request.n, request.seed, request.cond, options, request.standard
        return await respond(request, lambda session: session.draw_samples(*arguments))

    return app


def make_page_route(file: Path) -> Callable[[], Awaitable[Response]]:
    """Return the function of a route, without parameters: those would be read from the query."""
    content, media_type = file.read_bytes(), mimetypes.guess_type(file.name)[0]

    async def send_file() -> Response:
        return Response(content, media_type=media_type)

    return send_file


def compute_map(session: RunSession, request: types.MapRequest) -> dict[str, Any]:
    """Project the latents of a run, with names of the images and values of a column.

    Raises: Error if the images, the dimension or the column are missing
    """
    (latents, _, split), cache = session.require_map(), session.cache
    n, n_dims = latents.mean.shape
    if max(request.dims) >= n_dims and request.kind == "dims":
        text = f"There is no dimension {max(request.dims)}; there are {n_dims}, counted from 0."
        raise Error(text)
    if request.column is not None and request.column not in session.map_columns:
        raise Error(f"The data have no column {request.column} of finite numbers.")
    rows = evenly_spaced_rows(len(split), n).tolist()
    projection = cache.get(f"map {request.kind}")
    if request.kind == "own":
        if session.coordinates is None:
            raise Error("The explorer was started without --coordinates; choose another plane.")
        projection = session.coordinates._replace(points=session.coordinates.points[rows])
    if projection is None:
        names = name_dims(session.autoencoder.latent_shape)
        projection = project_latents(request.kind, latents.mean, request.dims, names, session.umap)
    if request.kind != "dims":  # any two of many
        cache[f"map {request.kind}"] = projection
    values = [] if request.column is None else session.map_columns[request.column].values.tolist()
    return {
        "places": round_values(projection.points),
        "origin": None if projection.origin is None else round_values(projection.origin, 6),
        "axes": None if projection.axes is None else round_values(projection.axes, 6),
        "names": projection.names,
        "rows": rows,
        "called": [split.display_name(row) for row in rows],
        "values": [value if math.isfinite(value) else None for value in values],
    }


def to_data_url(image: Tensor) -> str:
    """Encode an image (c, h, w) at its own size as the source of an <img>."""
    file = io.BytesIO()
    to_pillow(image[None])[0].save(file, "png")
    return make_data_url(file.getvalue())


def make_data_url(content: bytes) -> str:
    """Return a PNG file as the source of an <img>."""
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def describe_problem(problem: RequestValidationError) -> str:
    """Describe the first problem of a request in one sentence."""
    first = problem.errors()[0]
    field = ".".join(str(part) for part in first["loc"] if part != "body")
    message = f"{first['msg'][0].lower()}{first['msg'][1:]}"
    return f"The request cannot be used: {f'{field}: ' if field else ''}{message}."
