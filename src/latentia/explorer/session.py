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

    sheet: RenderedImages
    words: list[str]
    more: dict[str, Any]

    def command(self, suffix: str) -> str:
        return shlex.join([*self.words, "--out", f"{self.words[1]}{suffix}"])


@dataclass
class RunSession:
    """given: the run's path as it was written, for commands; trained: the ranges of its latents
    come from these codes; shown: what the map shows of `part`; missing: why there are no images.
    """

    given: str
    run: RunFolder
    model: Model
    data: str | None
    split: str
    worker: Worker
    part: Split | None = None
    trained: LatentTable | None = None
    shown: LatentTable | None = None
    missing: str | None = None
    maps: dict[Any, Any] = field(default_factory=dict)
    others: dict[str, Split] = field(default_factory=dict)
    turns: int = 0
    one_reader: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def open(cls, run_argument: str, data: str | None, split: str, worker: Worker) -> "RunSession":
        run = open_run(run_argument)
        return cls(run_argument, run, run.model(), data, split, worker)

    @property
    def coder(self) -> Any:
        """What encodes and decodes; None: the model only draws."""
        model = self.model
        model = model.autoencoder if isinstance(model, HasTrajectory) else model
        return model if isinstance(model, HasLatents) else None

    @property
    def reading(self) -> bool:
        return self.missing is None and self.shown is None and self.coder is not None

    def turn(self, beta: float) -> None:
        """The model answers for this beta from here on; its images have to be read anew."""
        self.run = self.run.with_beta(beta)
        self.model.dial.beta = beta  # pyright: ignore
        self.turns += 1
        self.trained = self.shown = None

    def read(self) -> None:
        """Encode the images; meanwhile the model serves others between two batches."""
        if self.coder is None:
            return
        queued_model = QueuedModel(self.coder, self.worker)
        try:
            with self.one_reader:
                while self.shown is None:
                    run, beta_version = self.run, self.turns
                    self.part = run.split(self.split, self.data)
                    train_latents = encode_split(
                        queued_model, run.split(None, self.data, default="train"), SAMPLE
                    )
                    map_latents = encode_split(queued_model, self.part, SAMPLE)
                    if beta_version == self.turns:  # not turned meanwhile
                        self.maps = {}  # a plane that is being made goes into the old one
                        self.trained, self.shown = train_latents, map_latents
        except Exception as problem:  # said on the page: what needs no images must go on
            self.missing = str(problem)

    @property
    def rates(self) -> list[float] | None:
        """Nats of each dimension, as once evaluated."""
        try:
            evaluation = json.loads((self.run.path / "evaluation.json").read_text())
            return [float(rate) for rate in evaluation["rate_by_dimension"]]
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def able(self) -> Any:
        if self.coder is None:
            raise Error(
                f"{self.run.path} has no encoder: {self.run.metadata['recipe']} only draws images."
            )
        return self.coder

    def pick(self, source: Any, sessions: "Sequence[RunSession]") -> InputImage:
        """The image that a client means: its own file, or one of the data by index.

        Raises: Error if it cannot be read, or is not there.
        """
        if source.file is not None:
            image = decode_upload(
                source.file, source.name, Images.described(self.run.metadata["images"])
            )
            return InputImage(sanitize_file_name(source.name), image, [])
        source_session = self if source.of is None else sessions[source.of]
        data_split, data = self.part, self.data
        if source_session is not self and data is None and not self.shares(source_session):
            data = source_session.run.metadata["images"]["source"]
            data_split = self.others.get(data) or self.run.split(self.split, data)
            self.others[data] = data_split
        if data_split is None:
            raise Error(self.missing or "The images are still being read; wait a little.")
        image, name = load_image(str(source.index), data_split), data_split.called(source.index)
        split_flags = ["--split", self.split] if name.isdecimal() and self.split != "all" else []
        key = data_split.keys[source.index] if data_split is self.part else None
        return InputImage(name, image, [*split_flags, *(["--data", data] if data else [])], key)

    def shares(self, session: "RunSession") -> bool:
        own_images, session_images = (
            compared.run.metadata["images"] for compared in (self, session)
        )
        return own_images["fingerprint"] == session_images["fingerprint"]

    def encode(self, input_image: InputImage) -> dict[str, Any]:
        posterior = self.able().encode(input_image.image)
        rate = round(float(posterior.kl()), 2)
        split_name = input_image.flags[1] if "--split" in input_image.flags else None
        return {
            "latents": format_latents(posterior.mean),
            "nats": rate,
            "name": caption_image(input_image.name, split_name),
        }

    def decode(self, rows: list[list[float]]) -> RenderedResponse:
        model = self.able()
        z = rows_to_latents(rows, model.latent_shape, "latents")
        text = ",".join(repr(value) for value in rows[0])
        fits_command_line = (
            len(rows) == 1 and len(text) < 100_000
        )  # the longest word that Linux takes
        latents = f"--latents={text}" if fits_command_line else "--latents=latents.json"
        return RenderedResponse(
            rendered_images.render_latents(self.run, model, z), self.words("decode", latents), {}
        )

    def words(self, command: str, *arguments: str) -> list[str]:
        """Of a command on this run, as it answers now."""
        beta = self.run.beta
        beta_flags = [] if beta is None else ["--beta", f"{beta:g}"]
        return ["latentia", command, self.given, *arguments, *beta_flags]

    def reconstruct(self, input_image: InputImage) -> RenderedResponse:
        sheet = rendered_images.render_reconstructions(
            self.run, self.able(), input_image.image, "images"
        )
        return RenderedResponse(
            sheet, self.words("reconstruct", input_image.name, *input_image.flags), {}
        )

    def nearest(self, input_image: InputImage, n_neighbours: int) -> RenderedResponse:
        model = self.able()
        if self.shown is None or self.part is None:
            raise Error(self.missing or "The images are still being read; wait a little.")
        sheet, nearest_rows = rendered_images.render_neighbours(
            self.run, model, input_image.key, input_image.image, self.part, self.shown, n_neighbours
        )
        flags = ["--split", self.split, *(["--data", self.data] if self.data else [])]
        words = self.words("nearest", input_image.name, "-n", str(n_neighbours), *flags)
        display_name = self.part.called
        neighbours = [
            {"index": k, "name": display_name(k), "distance": distance}
            for k, distance in nearest_rows
        ]
        return RenderedResponse(sheet, words, {"near": neighbours})

    def walk(self, end_images: list[InputImage], steps: int, spherical: bool) -> RenderedResponse:
        images, names = (
            torch.cat([end_image.image for end_image in end_images]),
            [end_image.name for end_image in end_images],
        )
        sheet = rendered_images.render_walk(self.run, self.able(), names, images, steps, spherical)
        flags = next((end_image.flags for end_image in end_images if end_image.flags), [])
        spherical_flags = ["--spherical"] if spherical else []
        words = self.words("interpolate", *names, "--steps", str(steps), *spherical_flags, *flags)
        return RenderedResponse(sheet, words, {})

    def sample(
        self,
        n_samples: int,
        seed: int,
        cond: str | None,
        sampling_options: dict[str, Any],
        standard: bool,
    ) -> RenderedResponse:
        """standard: from N(0, I), though the run has learned a prior."""
        run, model, words = self.run, self.model, self.words("sample")
        if standard and isinstance(model, HasTrajectory):
            run, model = RunFolder.open(run.path / AUTOENCODER), model.autoencoder
            words = ["latentia", "sample", f"{self.given.rstrip('/')}/{AUTOENCODER}"]
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
    def rows(self) -> Tensor:
        """The places on the map, as indices into `part`."""
        assert self.part is not None
        return evenly_spaced_rows(len(self.part), SAMPLE)


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
