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
from latentia.data.decode import Unreadable, legible, opened, pixels
from latentia.data.preprocess import unit
from latentia.data.splits import evenly, load_image
from latentia.explorer.worker import Patient, Worker
from latentia.latents.encoding import SAMPLE, Codes, codes
from latentia.latents.parsing import rows_of, told
from latentia.report import rendered_images
from latentia.report.rendered_images import Sheet
from latentia.runs.build import AUTOENCODER
from latentia.runs.folder import RunFolder
from latentia.runs.image_names import caption_image
from latentia.runs.open import open_run

MEGAPIXELS = 40  # of an image that is dropped in


class Given(NamedTuple):
    """An input image, how a command names it, and its key among the images of the run, if any."""

    name: str
    image: Tensor
    flags: list[str]
    key: str | None = None


class Answer(NamedTuple):
    """A picture, the words of the command that makes it, and what else the page is told."""

    sheet: Sheet
    words: list[str]
    more: dict[str, Any]

    def command(self, ending: str) -> str:
        return shlex.join([*self.words, "--out", f"{self.words[1]}{ending}"])


@dataclass
class Explored:
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
    trained: Codes | None = None
    shown: Codes | None = None
    missing: str | None = None
    maps: dict[Any, Any] = field(default_factory=dict)
    others: dict[str, Split] = field(default_factory=dict)
    turns: int = 0
    one_reader: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def open(cls, given: str, data: str | None, split: str, worker: Worker) -> "Explored":
        run = open_run(given)
        return cls(given, run, run.model(), data, split, worker)

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
        model = Patient(self.coder, self.worker)
        try:
            with self.one_reader:
                while self.shown is None:
                    run, turns = self.run, self.turns
                    self.part = run.split(self.split, self.data)
                    trained = codes(model, run.split(None, self.data, default="train"), SAMPLE)
                    shown = codes(model, self.part, SAMPLE)
                    if turns == self.turns:  # not turned meanwhile
                        self.maps = {}  # a plane that is being made goes into the old one
                        self.trained, self.shown = trained, shown
        except Exception as problem:  # said on the page: what needs no images must go on
            self.missing = str(problem)

    @property
    def rates(self) -> list[float] | None:
        """Nats of each dimension, as once evaluated."""
        try:
            found = json.loads((self.run.path / "evaluation.json").read_text())
            return [float(rate) for rate in found["rate_by_dimension"]]
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def able(self) -> Any:
        if self.coder is None:
            raise Error(
                f"{self.run.path} has no encoder: {self.run.metadata['recipe']} only draws images."
            )
        return self.coder

    def pick(self, picked: Any, runs: "Sequence[Explored]") -> Given:
        """The image that a client means: its own file, or one of the data by index.

        Raises: Error if it cannot be read, or is not there.
        """
        if picked.file is not None:
            image = upload(picked.file, picked.name, Images.described(self.run.metadata["images"]))
            return Given(plain(picked.name), image, [])
        of = self if picked.of is None else runs[picked.of]
        part, data = self.part, self.data
        if of is not self and data is None and not self.shares(of):
            data = of.run.metadata["images"]["source"]
            part = self.others.get(data) or self.run.split(self.split, data)
            self.others[data] = part
        if part is None:
            raise Error(self.missing or "The images are still being read; wait a little.")
        image, name = load_image(str(picked.index), part), part.called(picked.index)
        within = ["--split", self.split] if name.isdecimal() and self.split != "all" else []
        key = part.keys[picked.index] if part is self.part else None
        return Given(name, image, [*within, *(["--data", data] if data else [])], key)

    def shares(self, other: "Explored") -> bool:
        own, theirs = (each.run.metadata["images"] for each in (self, other))
        return own["fingerprint"] == theirs["fingerprint"]

    def encode(self, given: Given) -> dict[str, Any]:
        posterior = self.able().encode(given.image)
        nats = round(float(posterior.kl()), 2)
        within = given.flags[1] if "--split" in given.flags else None
        return {
            "latents": told(posterior.mean),
            "nats": nats,
            "name": caption_image(given.name, within),
        }

    def decode(self, rows: list[list[float]]) -> Answer:
        model = self.able()
        z = rows_of(rows, model.latent_shape, "latents")
        text = ",".join(repr(value) for value in rows[0])
        inline = len(rows) == 1 and len(text) < 100_000  # the longest word that Linux takes
        latents = f"--latents={text}" if inline else "--latents=latents.json"
        return Answer(
            rendered_images.decoded(self.run, model, z), self.words("decode", latents), {}
        )

    def words(self, command: str, *more: str) -> list[str]:
        """Of a command on this run, as it answers now."""
        beta = self.run.beta
        at = [] if beta is None else ["--beta", f"{beta:g}"]
        return ["latentia", command, self.given, *more, *at]

    def reconstruct(self, given: Given) -> Answer:
        sheet = rendered_images.reconstructed(self.run, self.able(), given.image, "images")
        return Answer(sheet, self.words("reconstruct", given.name, *given.flags), {})

    def nearest(self, given: Given, n: int) -> Answer:
        model = self.able()
        if self.shown is None or self.part is None:
            raise Error(self.missing or "The images are still being read; wait a little.")
        sheet, found = rendered_images.neighbours(
            self.run, model, given.key, given.image, self.part, self.shown, n
        )
        flags = ["--split", self.split, *(["--data", self.data] if self.data else [])]
        words = self.words("nearest", given.name, "-n", str(n), *flags)
        name = self.part.called
        near = [{"index": k, "name": name(k), "distance": distance} for k, distance in found]
        return Answer(sheet, words, {"near": near})

    def walk(self, ends: list[Given], steps: int, spherical: bool) -> Answer:
        images, names = torch.cat([end.image for end in ends]), [end.name for end in ends]
        sheet = rendered_images.walked(self.run, self.able(), names, images, steps, spherical)
        flags = next((end.flags for end in ends if end.flags), [])
        arcs = ["--spherical"] if spherical else []
        words = self.words("interpolate", *names, "--steps", str(steps), *arcs, *flags)
        return Answer(sheet, words, {})

    def sample(
        self, n: int, seed: int, cond: str | None, wanted: dict[str, Any], standard: bool
    ) -> Answer:
        """standard: from N(0, I), though the run has learned a prior."""
        run, model, words = self.run, self.model, self.words("sample")
        if standard and isinstance(model, HasTrajectory):
            run, model = RunFolder.open(run.path / AUTOENCODER), model.autoencoder
            words = ["latentia", "sample", f"{self.given.rstrip('/')}/{AUTOENCODER}"]
        column = getattr(self.model, "column", None)
        pictured = column and self.run.metadata["images"]["columns"].get(column)
        if cond is not None and pictured and not cond.isdecimal():  # a word would be a path
            raise Error(f"The condition is {cond!r}; give the index of a test image.")
        sheet = rendered_images.sampled(run, model, n, seed, wanted, cond, self.data)
        words += ["-n", str(n), "--seed", str(seed)]
        words += ["--data", self.data] if self.data and pictured and cond is not None else []
        words += ["--cond", cond] if cond is not None else []
        for name, value in wanted.items():
            words += [f"--{name}", f"{value}"]
        return Answer(sheet, words, {})

    @property
    def rows(self) -> Tensor:
        """The places on the map, as indices into `part`."""
        assert self.part is not None
        return evenly(len(self.part), SAMPLE)


def plain(name: str) -> str:
    """A file's name as a word of a command: no folder, no option, no index."""
    last = PurePosixPath(name.replace("\\", "/")).name or "image.png"
    return f"./{last}" if last.startswith("-") or last.isdecimal() else last


def upload(content: bytes, name: str, images: Images) -> Tensor:
    """(1, c, h, w): an image file from elsewhere; its size is known before its pixels are read.

    Raises: Error if it is no image, or too large.
    """
    suffix = PurePosixPath(name).suffix.lower()
    try:
        with legible(), opened(content, suffix) as image:
            width, height = image.size
            if width * height > MEGAPIXELS * 1e6:
                raise Unreadable(f"{width}x{height} pixels; at most {MEGAPIXELS} million are read")
            array = pixels(image, images.preprocessing)
    except Unreadable as why:
        raise Error(f"{name or 'The file'} cannot be read ({why}); give another image.") from None
    return torch.from_numpy(unit(array.copy()))[None]
