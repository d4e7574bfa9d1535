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
from latentia.core.tensors import displayable, to_bytes
from latentia.explorer.projection import plane, rounded
from latentia.explorer.session import Answer, Explored, Given
from latentia.explorer.summary import columns, described
from latentia.explorer.worker import Worker
from latentia.latents.encoding import names

PAGE = Path(__file__).parent
FILES = {"/": "explorer.html", "/explorer.css": "explorer.css", "/explorer.js": "explorer.js"}
KINDS = {".png": "image/png", ".gif": "image/gif"}
UPLOAD = 8 * 2**20  # bytes of a file

Index = Annotated[int, Field(ge=0, lt=2**31)]


class Asked(BaseModel):
    """Of which run; file: the picture as a command writes it, not its parts for the page."""

    model_config = ConfigDict(extra="forbid")
    run: Index = 0
    file: Literal[".png", ".gif"] | None = None


class Picked(BaseModel):
    """An image: a file's bytes in base64 with its name, or an index into the data of run `of`."""

    model_config = ConfigDict(extra="forbid")
    index: Index | None = None
    of: Index | None = None
    file: Annotated[Base64Bytes, Field(max_length=UPLOAD)] | None = None
    name: Annotated[str, Field(max_length=200)] = ""

    @model_validator(mode="after")
    def one(self) -> "Picked":
        if (self.index is None) == (self.file is None):
            raise ValueError("give an index or a file")
        return self


class Latents(Asked):
    latents: Annotated[list[list[FiniteFloat]], Field(min_length=1, max_length=64)]


class OneImage(Asked):
    image: Picked
    n: Annotated[int, Field(ge=1, le=48)] = 8


class Walk(Asked):
    images: Annotated[list[Picked], Field(min_length=2, max_length=8)]
    steps: Annotated[int, Field(ge=2, le=64)] = 10
    spherical: bool = False


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid")
    sampler: Annotated[str, Field(max_length=20)] | None = None
    steps: Annotated[int, Field(ge=1, le=1000)] | None = None
    guidance: Annotated[FiniteFloat, Field(ge=0, le=100)] | None = None


class Draw(Asked):
    n: Annotated[int, Field(ge=1, le=64)] = 16
    seed: Annotated[int, Field(ge=0, lt=2**53)] = 0
    cond: Annotated[str, Field(min_length=1, max_length=1000)] | None = None
    standard: bool = False
    options: Options = Options()


class Turn(Asked):
    """read: it stays so, and the images are to be read for it."""

    beta: Annotated[FiniteFloat, Field(gt=0)]
    read: bool = False


class Map(Asked):
    kind: Literal["pca", "dims", "umap"] = "pca"
    dims: Annotated[list[Index], Field(min_length=2, max_length=2)] = [0, 1]
    column: Annotated[str, Field(max_length=200)] | None = None


def application(runs: list[Explored], worker: Worker) -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.exception_handler(Error)
    async def refused(request: Request, problem: Exception) -> JSONResponse:
        return JSONResponse({"detail": str(problem)}, 422)

    @app.exception_handler(RequestValidationError)
    async def misunderstood(request: Request, problem: RequestValidationError) -> JSONResponse:
        return JSONResponse({"detail": sentence(problem)}, 422)

    def of(asked: Asked) -> Explored:
        if asked.run >= len(runs):
            raise Error(f"There is no run {asked.run}; there are {len(runs)}, from 0.")
        return runs[asked.run]

    def picked(run: Explored, image: Picked) -> Given:
        of(Asked(run=image.of or 0))
        return run.pick(image, runs)

    async def answer(asked: Asked, make: Callable[[], Answer]) -> Response:
        def made() -> Response:
            found = make()
            if asked.file:
                if asked.file not in found.sheet.kinds:
                    raise Error(f"This picture has no {asked.file}; ask for .png.")
                return Response(found.sheet.kinds[asked.file](), media_type=KINDS[asked.file])
            shown = [address(image) for image in displayable(found.sheet.images)]
            told = {f"command{e}": found.command(e) for e in found.sheet.kinds if e in KINDS}
            return JSONResponse({"images": shown, **told, **found.more})

        return await worker.do(made)

    for route, name in FILES.items():
        app.get(route)(lambda name=name: FileResponse(PAGE / name))

    @app.get("/api/runs")
    def all_runs() -> JSONResponse:  # as the map: histograms take their time
        return JSONResponse({"runs": [described(run) for run in runs]})

    @app.post("/api/encode")
    async def encode(asked: OneImage) -> JSONResponse:
        run = of(asked)

        def made() -> JSONResponse:
            given = picked(run, asked.image)
            return JSONResponse(
                {**run.encode(given), "image": address(displayable(given.image)[0])}
            )

        return await worker.do(made)

    @app.post("/api/decode")
    async def decode(asked: Latents) -> Response:
        run = of(asked)
        return await answer(asked, lambda: run.decode(asked.latents))

    @app.post("/api/reconstruct")
    async def reconstruct(asked: OneImage) -> Response:
        run = of(asked)
        return await answer(asked, lambda: run.reconstruct(picked(run, asked.image)))

    @app.post("/api/nearest")
    async def nearest(asked: OneImage) -> Response:
        run = of(asked)
        return await answer(asked, lambda: run.nearest(picked(run, asked.image), asked.n))

    @app.post("/api/walk")
    async def walk(asked: Walk) -> Response:
        run = of(asked)
        how = asked.steps, asked.spherical
        return await answer(
            asked, lambda: run.walk([picked(run, image) for image in asked.images], *how)
        )

    @app.post("/api/sample")
    async def sample(asked: Draw) -> Response:
        run, wanted = of(asked), asked.options.model_dump(exclude_none=True)
        how = asked.n, asked.seed, asked.cond, wanted, asked.standard
        return await answer(asked, lambda: run.sample(*how))

    @app.post("/api/beta")
    async def beta(asked: Turn) -> JSONResponse:
        run = of(asked)
        await worker.do(run.turn, asked.beta)
        if asked.read:
            threading.Thread(target=run.read, daemon=True).start()
        return JSONResponse({"beta": asked.beta})

    @app.post("/api/map")
    def seen(asked: Map) -> JSONResponse:  # in a thread of its own: UMAP takes its time
        return JSONResponse(on_map(of(asked), asked))

    return app


def on_map(run: Explored, asked: Map) -> dict[str, Any]:
    """Places, their indices, and the values of a column."""
    shown, maps = run.shown, run.maps
    if shown is None or run.part is None:
        run.able()
        raise Error(run.missing or "The images are still being read; wait a little.")
    d = shown.mean.shape[1]
    if max(asked.dims) >= d and asked.kind == "dims":
        raise Error(f"There is no dimension {max(asked.dims)}; there are {d}, from 0.")
    key = (asked.kind, *asked.dims)
    if key not in maps:
        known = names(run.coder.latent_shape)
        maps[key] = plane(asked.kind, shown.mean, asked.dims, known)
    found, rows = maps[key], run.rows
    if asked.column is not None and asked.column not in columns(run.part):
        raise Error(f"The data have no column {asked.column} of finite numbers.")
    values = [] if asked.column is None else run.part.columns[asked.column][rows].tolist()
    return {
        "places": rounded(found.places),
        "origin": None if found.origin is None else rounded(found.origin, 6),
        "axes": None if found.axes is None else rounded(found.axes, 6),
        "names": found.names,
        "rows": rows.tolist(),
        "called": [run.part.called(row) for row in rows.tolist()],
        "values": values,
    }


def address(image: Tensor) -> str:
    """A picture (c, h, w) as it is, no pixel enlarged, as the address of an <img>."""
    array = to_bytes(image).permute(1, 2, 0).numpy()
    file = io.BytesIO()
    Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array).save(file, "png")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def sentence(problem: RequestValidationError) -> str:
    """The first thing that is wrong with a request."""
    first = problem.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body")
    said = str(first["msg"])
    said = said[0].lower() + said[1:]
    return f"The request cannot be used: {f'{where}: ' if where else ''}{said}."
