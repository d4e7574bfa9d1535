"""One run in the explorer: its model, its images, their latents, and pictures of them."""

import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor

from latentia.core.contract import Batch, HasTrajectory, Model, get_autoencoder
from latentia.core.errors import Error
from latentia.data import Split
from latentia.data.labels import Labels
from latentia.data.splits import evenly_spaced_rows, load_image
from latentia.explorer.images import InputImage, Rendering, decode_upload, sanitize_file_name
from latentia.explorer.map_table import MapColumn, encode_map, list_map_columns
from latentia.explorer.projection import UMAP_OPTIONS, Projection, read_coordinates
from latentia.explorer.worker import QueuedModel, Worker
from latentia.latents.encoding import SAMPLE, LatentTable, encode_split
from latentia.latents.parsing import format_latents, rows_to_latents
from latentia.latents.table import open_labelled_split
from latentia.metrics.measure import read_evaluation
from latentia.nets.column_condition import ColumnCondition, get_condition, use_columns
from latentia.report import rendered_images
from latentia.report.rendered_samples import render_samples
from latentia.runs.build import AUTOENCODER
from latentia.runs.folder import RunFolder
from latentia.runs.image_names import caption_image
from latentia.runs.open import open_run
from latentia.runs.sampling import format_labels, parse_condition


@dataclass(eq=False)
class RunSession:
    """A run that is open in the explorer, at one beta.

    run_argument: the run as the user wrote it, which commands repeat
    data_split: the images of `split`; split_names: the run's split of each of them
    map_latents, map_table, map_columns: latents, table and colours of the images on the map
    train_split: images of the training; train_latents: latents that give the sliders their ranges
    missing_reason: why there are no images
    other_splits: images of other runs, by source
    beta: of a run of many betas
    coordinates: the user's own points, one for each image of `split`
    """

    run_argument: str
    run: RunFolder
    model: Model
    data: str | None
    split: str
    worker: Worker
    data_split: Split | None = None
    split_names: list[str] = field(default_factory=list)
    train_split: Split | None = None
    train_latents: LatentTable | None = None
    map_latents: LatentTable | None = None
    map_table: pa.Table | None = None
    map_columns: dict[str, MapColumn] = field(default_factory=dict)
    missing_reason: str | None = None
    cache: dict[Any, Any] = field(default_factory=dict)
    other_splits: dict[str, Split] = field(default_factory=dict)
    beta: float | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    thread: threading.Thread | None = None
    umap: tuple[int, float] = UMAP_OPTIONS
    coordinates: Projection | None = None

    @classmethod
    def open(cls, run_argument: str, data: str | None, split: str, worker: Worker) -> "RunSession":
        run = open_run(run_argument)
        read_evaluation(run)  # damage is an error here, not in a request
        model = run.model()
        beta = float(model.dial.beta) if run.beta_range else None  # pyright: ignore
        return cls(run_argument, run, model, data, split, worker, beta=beta)

    @property
    def autoencoder(self) -> Any:
        """The model that encodes and decodes; None if the run has no encoder."""
        return get_autoencoder(self.model)

    @property
    def condition(self) -> ColumnCondition | None:
        """The condition of the networks on a column of labels; None without one."""
        return get_condition(self.autoencoder)

    @property
    def is_reading(self) -> bool:
        """Whether the latents of the map are still to come."""
        is_done = self.map_latents is not None or self.missing_reason is not None
        return self.autoencoder is not None and not is_done

    @property
    def rates(self) -> list[float] | None:
        """Rate of each dimension in nats, from `latentia evaluate`; None if that has not run."""
        return read_evaluation(self.run).get("rate_by_dimension")

    def with_beta(self, beta: float) -> "RunSession":
        """Return a session of the same model and images at another beta, without latents.

        Raises: Error if the run has not learned this beta
        """
        run, fresh = self.run.with_beta(beta), {"cache": {}, "lock": threading.Lock()}
        latents = {"train_latents": None, "map_latents": None, "map_table": None, "thread": None}
        return replace(self, run=run, beta=beta, **fresh, **latents)

    def use_beta(self) -> None:
        """Let the model answer at this session's beta; in the worker, before each call of it."""
        if self.beta is not None:
            self.model.dial.beta = self.beta  # pyright: ignore

    def start_reading(self) -> None:
        """Begin to load the latents, unless this has begun."""
        with self.lock:
            if self.thread is None:
                self.thread = threading.Thread(target=self.load_latents, daemon=True)
                self.thread.start()

    def open_split(self, labels: Any = None, cols: Any = None, coordinates: Any = None) -> Split:
        """Open the images, once, with columns of a file of labels, and the user's own points.

        Raises: Error if they are missing, or labels or points do not fit them
        """
        if self.data_split is None:
            images, columns = self.run.images(self.data), Labels(labels, cols, "nan")
            self.train_split = self.run.split(None, images, default="train")
            opened = open_labelled_split(self.run, images, self.split, columns)
            self.data_split, self.split_names = opened
            keys = images.split("all").keys
            self.coordinates = coordinates and read_coordinates(coordinates, self.data_split, keys)
        return self.data_split

    def load_latents(self) -> None:
        """Encode the images in batches; the worker serves clients between two of them."""
        if self.autoencoder is None:
            return
        model: Any = QueuedModel(self.autoencoder, self.worker, self.use_beta)
        try:
            split = self.open_split()
            train_latents = encode_split(model, self.train_split, SAMPLE)  # pyright: ignore
            latents, table = encode_map(model, split, self.split_names, train_latents)
            own_columns = self.run.metadata["images"]["columns"]
            self.map_columns = list_map_columns(table, split, model.latent_shape, own_columns)
            self.map_table, self.map_latents = table, latents
            self.train_latents = train_latents
        except Exception as problem:  # the page shows it, and still samples and decodes
            self.missing_reason = str(problem)

    def require_encoder(self) -> Any:
        """Return the autoencoder. Raises: Error if the run has none"""
        if self.autoencoder is None:
            recipe = self.run.metadata["recipe"]
            raise Error(f"{self.run.path} has no encoder: {recipe} only draws images.")
        return self.autoencoder

    def use_labels(self, sources: Sequence[InputImage]) -> AbstractContextManager[None]:
        """Give the networks the labels of images within the block, if they depend on a column."""
        names = set.intersection(*(set(each.columns) for each in sources)) if sources else ()
        columns = {name: torch.cat([each.columns[name] for each in sources]) for name in names}
        return use_columns(self.autoencoder, columns)

    def require_map(self) -> tuple[LatentTable, pa.Table, Split]:
        """Return latents, table and split of the map. Raises: Error if they are missing"""
        self.require_encoder()
        latents, table, split = self.map_latents, self.map_table, self.data_split
        if latents is None or table is None or split is None:
            raise self.make_missing_error()
        return latents, table, split

    def make_missing_error(self) -> Error:
        return Error(self.missing_reason or "The images are still being read; wait a little.")

    def load_image(self, source: Any, owner: "RunSession") -> InputImage:
        """Return an uploaded image, or one of its owner's images by index.

        Raises: Error if it cannot be read, or there is none of this index
        """
        if source.file is not None:
            images = self.run.stored_images
            batch = decode_upload(source.file, source.name, images)
            name = sanitize_file_name(source.name)
            return InputImage(name, batch.image, [], columns=batch.columns)
        split, data = self.data_split, self.data
        if owner is not self and data is None and not self.has_same_images(owner):
            data = owner.run.metadata["images"]["source"]
            split = self.other_splits.get(data) or self.run.split(self.split, data)
            self.other_splits[data] = split
        if split is None:
            raise self.make_missing_error()
        batch = load_image(str(source.index), split)  # raises if there is no such row
        name = split.display_name(source.index)
        flags = ["--split", self.split] if name.isdecimal() and self.split != "all" else []
        key = split.keys[source.index] if split is self.data_split else None
        flags += ["--data", data] if data else []
        return InputImage(name, batch.image, flags, key, batch.columns)

    def has_same_images(self, session: "RunSession") -> bool:
        one, two = (each.run.metadata["images"] for each in (self, session))
        return one["fingerprint"] == two["fingerprint"]

    def encode_image(self, source: InputImage) -> dict[str, Any]:
        """Return the posterior mean of an image, its rate in nats, its name, and its label."""
        posterior = self.require_encoder().encode(source.image)
        split = source.flags[1] if "--split" in source.flags else None
        label = source.columns.get(self.condition.column) if self.condition else None
        return {
            "latents": format_latents(posterior.mean),
            "nats": round(float(posterior.kl()), 2),
            "name": caption_image(source.name, split),
            "cond": None if label is None else self.format_label(label),
        }

    def format_label(self, value: Tensor) -> str:
        """Return a label (1,) as --cond takes it; a number within those of the training images."""
        if self.condition and not self.condition.num_classes:
            return repr(value.clamp(*self.condition.distribution.aminmax()).item())
        return format_labels(self.run, self.model, value)[0]

    def decode_latents(self, rows: list[list[float]], cond: str | None = None) -> Rendering:
        """Decode latents, with a label if the networks depend on one; by default the typical."""
        model = self.require_encoder()
        z = rows_to_latents(rows, model.latent_shape, "latents")
        text = ",".join(map(repr, rows[0]))
        is_short = len(rows) == 1 and len(text) < 8_000  # the least limit: that of Windows
        latents = f"--latents={text}" if is_short else "--latents=latents.json"
        if self.condition and cond is None:
            cond = self.format_label(self.condition.typical)
        target = parse_condition(self.run, model, cond, len(z))
        with use_columns(model, {}, target):
            images = rendered_images.render_latents(self.run, model, z)
        flags = [] if cond is None else ["--cond", cond]
        return Rendering(images, self.make_command("decode", latents, *flags), {})

    def make_command(self, name: str, *arguments: str) -> list[str]:
        """Return the words of a command on this run, at its present beta."""
        beta = self.run.beta
        flags = [] if beta is None else ["--beta", f"{beta:g}"]
        return ["latentia", name, self.run_argument, *arguments, *flags]

    def reconstruct_image(self, source: InputImage) -> Rendering:
        images = rendered_images.render_reconstructions(
            self.run, self.require_encoder(), Batch(source.image, {**source.columns}), "images"
        )
        return Rendering(images, self.make_command("reconstruct", source.name, *source.flags), {})

    def find_nearest(self, source: InputImage, n: int) -> Rendering:
        """Show an image beside the n images of the map whose latents are nearest to its own."""
        latents, _, split = self.require_map()
        model = self.require_encoder()
        mean = latents.mean[evenly_spaced_rows(len(latents.mean), SAMPLE)]  # as in the command
        table = LatentTable(mean, None, None)
        point = source.image, model.encode(source.image).mean
        images = rendered_images.render_neighbors(
            self.run, model, source.key, point, split, table, n
        )
        flags = ["--split", self.split, *(["--data", self.data] if self.data else [])]
        command = self.make_command("nearest", source.name, "-n", str(n), *flags)
        rows = [
            {"index": row, "name": split.display_name(row), "distance": distance}
            for row, distance in images.table[["row", "distance"]].to_numpy(object).tolist()
        ]
        return Rendering(images, command, {"near": rows})

    def interpolate_images(
        self, sources: Sequence[InputImage], steps: int, spherical: bool
    ) -> Rendering:
        names, images = [s.name for s in sources], torch.cat([s.image for s in sources])
        model = self.require_encoder()
        rendered = rendered_images.render_walk(self.run, model, names, images, steps, spherical)
        flags = next((s.flags for s in sources if s.flags), [])
        arcs = ["--spherical"] if spherical else []
        words = [*names, "--steps", str(steps), *arcs, *flags]
        return Rendering(rendered, self.make_command("interpolate", *words), {})

    def draw_samples(
        self, n: int, seed: int, cond: str | None, options: dict[str, Any], standard: bool
    ) -> Rendering:
        """Draw n samples; standard: from the prior of the autoencoder, which a learned one has."""
        run, model, command = self.run, self.model, self.make_command("sample")
        if standard and isinstance(model, HasTrajectory) and self.autoencoder is not None:
            run, model = RunFolder.open(run.path / AUTOENCODER), model.autoencoder
            command = ["latentia", "sample", f"{self.run_argument.rstrip('/')}/{AUTOENCODER}"]
        column = getattr(self.model, "column", None)
        is_image = column and self.run.metadata["images"]["columns"].get(column)
        if cond is not None and is_image and not cond.isdecimal():  # else a path on this machine
            raise Error(f"The condition is {cond!r}; give the index of a test image.")
        images = render_samples(run, model, n, seed, options, cond, self.data)
        command += ["-n", str(n), "--seed", str(seed)]
        if cond is not None:
            command += ["--data", self.data] if self.data and is_image else []
            command += ["--cond", cond]
        for name, value in options.items():
            command += [f"--{name}", f"{value}"]
        return Rendering(images, command, {})
