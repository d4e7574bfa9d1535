"""One run, opened for exploring: its model, what is known of its data, and its pictures."""

import json
import shlex
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import torch
from torch import Tensor

from latentia.core.contract import HasLatents, HasTrajectory, Model
from latentia.core.errors import Error
from latentia.data import Images, Split
from latentia.data.decode import DecodeError, catch_decode_errors, decode_pixels, open_image
from latentia.data.preprocess import array_to_unit_range
from latentia.data.splits import evenly_spaced_rows, load_image
from latentia.explorer.worker import QueuedModel, Worker
from latentia.latents.encoding import SAMPLE, LatentTable, encode_split
from latentia.latents.parsing import format_latents, rows_to_latents
from latentia.report import rendered_images
from latentia.report.rendered_images import RenderedImages
from latentia.runs.build import AUTOENCODER
from latentia.runs.folder import RunFolder
from latentia.runs.image_names import caption_image
from latentia.runs.open import open_run

MAX_MEGAPIXELS = 40  # of an image that is dropped in


class InputImage(NamedTuple):
    """An input image, how a command names it, and its key among the images of the run, if any."""

    name: str
    image: Tensor
    flags: list[str]
    key: str | None = None


class RenderedResponse(NamedTuple):
    """A picture, the words of the command that makes it, and what else the page is told."""

    rendered_images: RenderedImages
    command_words: list[str]
    extra: dict[str, Any]

    def format_command(self, suffix: str) -> str:
        return shlex.join([*self.command_words, "--out", f"{self.command_words[1]}{suffix}"])


@dataclass
class RunSession:
    """given: the run's path as it was written, for commands; trained: the ranges of its latents
    come from these codes; shown: what the map shows of `part`; missing: why there are no images.
    """

    run_argument: str
    run: RunFolder
    model: Model
    data: str | None
    split: str
    worker: Worker
    data_split: Split | None = None
    train_latents: LatentTable | None = None
    map_latents: LatentTable | None = None
    missing_reason: str | None = None
    cache: dict[Any, Any] = field(default_factory=dict)
    other_splits: dict[str, Split] = field(default_factory=dict)
    beta_version: int = 0
    read_lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def open(cls, run_argument: str, data: str | None, split: str, worker: Worker) -> "RunSession":
        run = open_run(run_argument)
        return cls(run_argument, run, run.model(), data, split, worker)

    @property
    def autoencoder(self) -> Any:
        """What encodes and decodes; None: the model only draws."""
        model = self.model
        model = model.autoencoder if isinstance(model, HasTrajectory) else model
        return model if isinstance(model, HasLatents) else None

    @property
    def is_reading(self) -> bool:
        return (
            self.missing_reason is None
            and self.map_latents is None
            and self.autoencoder is not None
        )

    def set_beta(self, beta: float) -> None:
        """The model answers for this beta from here on; its images have to be read anew."""
        self.run = self.run.with_beta(beta)
        self.model.dial.beta = beta  # pyright: ignore
        self.beta_version += 1
        self.train_latents = self.map_latents = None

    def load_latents(self) -> None:
        """Encode the images; meanwhile the model serves others between two batches."""
        if self.autoencoder is None:
            return
        queued_model = QueuedModel(self.autoencoder, self.worker)
        try:
            with self.read_lock:
                while self.map_latents is None:
                    run, beta_version = self.run, self.beta_version
                    self.data_split = run.split(self.split, self.data)
                    train_latents = encode_split(
                        queued_model, run.split(None, self.data, default="train"), SAMPLE
                    )
                    map_latents = encode_split(queued_model, self.data_split, SAMPLE)
                    if beta_version == self.beta_version:  # not turned meanwhile
                        self.cache = {}  # a plane that is being made goes into the old one
                        self.train_latents, self.map_latents = train_latents, map_latents
        except Exception as problem:  # said on the page: what needs no images must go on
            self.missing_reason = str(problem)

    @property
    def rates(self) -> list[float] | None:
        """Nats of each dimension, as once evaluated."""
        try:
            evaluation = json.loads((self.run.path / "evaluation.json").read_text())
            return [float(rate) for rate in evaluation["rate_by_dimension"]]
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def require_encoder(self) -> Any:
        if self.autoencoder is None:
            raise Error(
                f"{self.run.path} has no encoder: {self.run.metadata['recipe']} only draws images."
            )
        return self.autoencoder

    def load_image(self, source: Any, sessions: "Sequence[RunSession]") -> InputImage:
        """The image that a client means: its own file, or one of the data by index.

        Raises: Error if it cannot be read, or is not there.
        """
        if source.file is not None:
            image = decode_upload(
                source.file, source.name, Images.from_metadata(self.run.metadata["images"])
            )
            return InputImage(sanitize_file_name(source.name), image, [])
        source_session = self if source.of is None else sessions[source.of]
        data_split, data = self.data_split, self.data
        if source_session is not self and data is None and not self.has_same_images(source_session):
            data = source_session.run.metadata["images"]["source"]
            data_split = self.other_splits.get(data) or self.run.split(self.split, data)
            self.other_splits[data] = data_split
        if data_split is None:
            raise Error(self.missing_reason or "The images are still being read; wait a little.")
        image, name = (
            load_image(str(source.index), data_split),
            data_split.display_name(source.index),
        )
        split_flags = ["--split", self.split] if name.isdecimal() and self.split != "all" else []
        key = data_split.keys[source.index] if data_split is self.data_split else None
        return InputImage(name, image, [*split_flags, *(["--data", data] if data else [])], key)

    def has_same_images(self, session: "RunSession") -> bool:
        own_images, session_images = (
            compared.run.metadata["images"] for compared in (self, session)
        )
        return own_images["fingerprint"] == session_images["fingerprint"]

    def encode_image(self, input_image: InputImage) -> dict[str, Any]:
        posterior = self.require_encoder().encode(input_image.image)
        rate = round(float(posterior.kl()), 2)
        split_name = input_image.flags[1] if "--split" in input_image.flags else None
        return {
            "latents": format_latents(posterior.mean),
            "nats": rate,
            "name": caption_image(input_image.name, split_name),
        }

    def decode_latents(self, rows: list[list[float]]) -> RenderedResponse:
        model = self.require_encoder()
        z = rows_to_latents(rows, model.latent_shape, "latents")
        text = ",".join(repr(value) for value in rows[0])
        fits_command_line = (
            len(rows) == 1 and len(text) < 100_000
        )  # the longest word that Linux takes
        latents = f"--latents={text}" if fits_command_line else "--latents=latents.json"
        return RenderedResponse(
            rendered_images.render_latents(self.run, model, z),
            self.format_words("decode", latents),
            {},
        )

    def format_words(self, command: str, *arguments: str) -> list[str]:
        """Of a command on this run, as it answers now."""
        beta = self.run.beta
        beta_flags = [] if beta is None else ["--beta", f"{beta:g}"]
        return ["latentia", command, self.run_argument, *arguments, *beta_flags]

    def reconstruct_image(self, input_image: InputImage) -> RenderedResponse:
        sheet = rendered_images.render_reconstructions(
            self.run, self.require_encoder(), input_image.image, "images"
        )
        return RenderedResponse(
            sheet, self.format_words("reconstruct", input_image.name, *input_image.flags), {}
        )

    def find_nearest(self, input_image: InputImage, n_neighbours: int) -> RenderedResponse:
        model = self.require_encoder()
        if self.map_latents is None or self.data_split is None:
            raise Error(self.missing_reason or "The images are still being read; wait a little.")
        sheet, nearest_rows = rendered_images.render_neighbors(
            self.run,
            model,
            input_image.key,
            input_image.image,
            self.data_split,
            self.map_latents,
            n_neighbours,
        )
        flags = ["--split", self.split, *(["--data", self.data] if self.data else [])]
        words = self.format_words("nearest", input_image.name, "-n", str(n_neighbours), *flags)
        display_name = self.data_split.display_name
        neighbours = [
            {"index": k, "name": display_name(k), "distance": distance}
            for k, distance in nearest_rows
        ]
        return RenderedResponse(sheet, words, {"near": neighbours})

    def walk_images(
        self, end_images: list[InputImage], steps: int, spherical: bool
    ) -> RenderedResponse:
        images, names = (
            torch.cat([end_image.image for end_image in end_images]),
            [end_image.name for end_image in end_images],
        )
        sheet = rendered_images.render_walk(
            self.run, self.require_encoder(), names, images, steps, spherical
        )
        flags = next((end_image.flags for end_image in end_images if end_image.flags), [])
        spherical_flags = ["--spherical"] if spherical else []
        words = self.format_words(
            "interpolate", *names, "--steps", str(steps), *spherical_flags, *flags
        )
        return RenderedResponse(sheet, words, {})

    def draw_samples(
        self,
        n_samples: int,
        seed: int,
        cond: str | None,
        sampling_options: dict[str, Any],
        standard: bool,
    ) -> RenderedResponse:
        """standard: from N(0, I), though the run has learned a prior."""
        run, model, words = self.run, self.model, self.format_words("sample")
        if standard and isinstance(model, HasTrajectory):
            run, model = RunFolder.open(run.path / AUTOENCODER), model.autoencoder
            words = ["latentia", "sample", f"{self.run_argument.rstrip('/')}/{AUTOENCODER}"]
        column = getattr(self.model, "column", None)
        has_image_condition = column and self.run.metadata["images"]["columns"].get(column)
        if (
            cond is not None and has_image_condition and not cond.isdecimal()
        ):  # a word would be a path
            raise Error(f"The condition is {cond!r}; give the index of a test image.")
        sheet = rendered_images.render_samples(
            run, model, n_samples, seed, sampling_options, cond, self.data
        )
        words += ["-n", str(n_samples), "--seed", str(seed)]
        words += (
            ["--data", self.data] if self.data and has_image_condition and cond is not None else []
        )
        words += ["--cond", cond] if cond is not None else []
        for name, value in sampling_options.items():
            words += [f"--{name}", f"{value}"]
        return RenderedResponse(sheet, words, {})

    @property
    def map_rows(self) -> Tensor:
        """The places on the map, as indices into `part`."""
        assert self.data_split is not None
        return evenly_spaced_rows(len(self.data_split), SAMPLE)


def sanitize_file_name(name: str) -> str:
    """A file's name as a word of a command: no folder, no option, no index."""
    base_name = PurePosixPath(name.replace("\\", "/")).name or "image.png"
    return f"./{base_name}" if base_name.startswith("-") or base_name.isdecimal() else base_name


def decode_upload(content: bytes, name: str, images: Images) -> Tensor:
    """(1, c, h, w): an image file from elsewhere; its size is known before its pixels are read.

    Raises: Error if it is no image, or too large.
    """
    suffix = PurePosixPath(name).suffix.lower()
    try:
        with catch_decode_errors(), open_image(content, suffix) as image:
            width, height = image.size
            if width * height > MAX_MEGAPIXELS * 1e6:
                raise DecodeError(
                    f"{width}x{height} pixels; at most {MAX_MEGAPIXELS} million are read"
                )
            array = decode_pixels(image, images.preprocessing)
    except DecodeError as problem:
        raise Error(
            f"{name or 'The file'} cannot be read ({problem}); give another image."
        ) from None
    return torch.from_numpy(array_to_unit_range(array.copy()))[None]
