"""The run folder: self-contained, readable without its images, never executed."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import lru_cache
from numbers import Real
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentia.core.checksums import is_intact
from latentia.core.contract import Model, get_autoencoder
from latentia.core.errors import Error, refuse_nul
from latentia.core.folders import refuse_special_files
from latentia.core.plugins import describe_failures
from latentia.core.progress import print_note
from latentia.data import Images, Split
from latentia.data.labels import SOURCE_LABELS, Labels
from latentia.modifiers.multirate import parse_beta_range
from latentia.runs.build import AUTOENCODER, build_plan
from latentia.runs.images import open_run_images
from latentia.runs.metadata import FORMAT, check_metadata
from latentia.runs.recipes import DIFFUSERS, RECIPES, get_recipe, resolve_parameters
from latentia.training.checkpoint import copy_file, read_json, read_metadata, read_tensors
from latentia.training.folder import TrainingFolder
from latentia.training.plan import Options, Plan
from latentia.training.state import load_weights


@dataclass(frozen=True)
class RunFolder(TrainingFolder):
    """A run folder: settings, weights, log and report of one training.

    beta: that of a --multirate model, within the range of its training; None is the recipe's.
    """

    beta: float | None = None

    @classmethod
    def open(cls, path: Path | str) -> "RunFolder":
        """Open a folder, with its metadata in the present format.

        Raises: Error if the folder is not a run.
        """
        path = resolve_unnamed_path(path)
        if not path.exists():
            raise Error(f"There is no run at {path}; give a folder of `latentia fit` or `train`.")
        try:
            refuse_special_files(path)
            content = read_json(path / "run.json")
        except OSError:
            content = {}
        if not {"recipe", "arguments"} & content.keys():
            text = "is not a run: it has no readable run.json"
            raise Error(f"{text}; give a folder of `latentia fit` or `train`.", subject=path)
        try:
            metadata = check_metadata(content)
        except Error as problem:
            is_later = isinstance(number := content.get("format"), int) and number > FORMAT
            advice = "Update latentia, which is older" if is_later else "Copy the run anew"
            text = f"cannot be opened: in run.json, {problem} {advice}."
            raise Error(text, subject=path) from None
        if not is_intact(path / "run.json"):
            note_missing_checksums(path)
        return cls(path, metadata)

    @property
    def name(self) -> str:
        """The folder's name, with the requested beta."""
        return self.path.name + ("" if self.beta is None else f" at beta {self.beta:g}")

    def with_beta(self, beta: float | None) -> "RunFolder":
        """Return the run at another beta; None keeps the present one.

        Raises: Error if the run has not learned this beta.
        """
        if beta is None:
            return self
        if not isinstance(beta, Real):
            raise Error(f"--beta is {beta!r}; it must be a number.")
        if self.beta_range is None:
            raise Error(f"--beta is {beta:g}, but {self.path} has learned one beta alone; omit it.")
        low, high = self.beta_range
        if not low <= beta <= high:
            raise Error(f"--beta is {beta:g}; {self.path} has learned {low:g} to {high:g}.")
        return replace(self, beta=beta)

    @property
    def is_complete(self) -> bool:
        """Whether the training has ended; of a run without its state, whether it has weights.

        Only headers are read. All bytes of a file are compared with its checksum when it is used.
        """
        state = read_metadata(self.state, check=False) if self.state.exists() else {}
        return state.get("complete", self.weights.exists())

    @property
    def beta_range(self) -> tuple[float, float] | None:
        """Least and largest beta of a --multirate run; None for a run of one beta."""
        modifier = self.metadata["modifiers"].get("multirate")
        return parse_beta_range(modifier["multirate"]) if modifier else None

    @property
    def options(self) -> Options:
        """The options of the training."""
        try:
            return Options(**self.metadata["options"])
        except TypeError as problem:
            text = f"is of another version ({problem}); use that of its run.json, or train again."
            raise Error(text, subject=self.path) from None

    def plan(self, data: Any = None) -> Plan:
        """Build the plan of the training, on the run's images or on `data`.

        Raises: Error if the table of labels has changed since the training.
        """
        arguments = dict(self.metadata["arguments"])
        arguments["data"] = self.images() if data is None else data
        parent = RunFolder.open(self.path / AUTOENCODER) if AUTOENCODER in arguments else None
        self._check_recipe(arguments)
        recipe, modifiers = self.metadata["recipe"], self.metadata["modifiers"]
        plan = build_plan(recipe, arguments, modifiers, self.options, parent, self.weights)
        table = self.metadata["images"].get("joined")
        if table and plan.images.to_metadata().get("joined", table) != table:
            raise Error(
                f"The labels of {self.path} are no longer those that it was trained with; bring the"
                " table back."
            )
        return plan

    def _check_recipe(self, arguments: dict[str, Any]) -> None:
        name = self.metadata["recipe"]
        if ".py" not in name and name not in [*RECIPES, DIFFUSERS]:
            raise Error(
                f"was trained by the recipe {name}, which is not loaded; give its file with "
                "--plugin FILE, install its package, or in Python define it with @latentia.recipe."
                f"{describe_failures()}",
                subject=self.path,
            )
        try:
            get_recipe(name)
        except Error as problem:
            raise Error(f"needs its recipe. {problem}", subject=self.path) from None
        try:
            resolve_parameters(name, {k: v for k, v in arguments.items() if k != "data"})
        except Error as problem:
            text = f"no longer fits its recipe {name}: {problem} Use the version of its run.json."
            raise Error(text, subject=self.path) from None

    def load_tensors(self) -> dict[str, Tensor]:
        """Read the trained weights."""
        return read_tensors(self.weights)[0]

    def model(self, tensors: dict[str, Tensor] | None = None) -> Model:
        """Load the trained model in evaluation mode, without the images.

        tensors: they replace the weights file.
        """
        model = self.plan(self.stored_images).model
        tensors = tensors or self.load_tensors()
        load_weights(model, tensors, self.weights)
        for name, tensor in tensors.items():
            if not tensor.isfinite().all():
                text = (
                    f"has NaN or infinity in {name} of its weights; train again, or copy them anew."
                )
                raise Error(text, subject=self.path)
        if self.beta is not None:
            model.dial.beta = self.beta  # pyright: ignore
        return model.eval().requires_grad_(False)

    def autoencoder(self) -> Any:
        """Load the model that encodes images: of a learned prior, its autoencoder.

        Raises: Error if the model has no encoder.
        """
        model = get_autoencoder(self.model())
        if model is None:
            raise Error(f"{self.path} has no encoder: it only draws images; give a run of a VAE.")
        return model

    def images(self, data: Any = None, *, same: bool = False) -> Images:
        """Open the run's images, or other `data` with the run's preprocessing.

        With `same`, `data` must hold the run's own images. Open images are returned unchanged.

        Raises: Error if the images are missing, or differ from those of the training.
        """
        return open_run_images(self.path, self.metadata["images"], data, same)

    @property
    def stored_images(self) -> Images:
        """Shape, labels and preprocessing of the images, as run.json has them, without a pixel."""
        return Images.from_metadata(self.metadata["images"])

    def is_training_data(self, images: Images) -> bool:
        """Whether the run was trained on these images and in these splits."""
        return images.to_metadata()["fingerprint"] == self.metadata["images"]["fingerprint"]

    def split(
        self,
        name: str | None,
        data: Any = None,
        *,
        default: str = "test",
        labels: Labels = SOURCE_LABELS,
    ) -> Split:
        """Return a split with the label columns of `labels`.

        Without a name: the split `default` of the run's own images, and all of other images.

        Raises: Error if the split is empty, or the labels do not fit the images.
        """
        images = self.images(data)
        if name is None:
            name = default if self.is_training_data(images) else "all"
        split = images.split(name)
        if not len(split):
            raise Error(f"The {split.name} split holds no image; name another with --split.")
        joined = labels.join_to(split, images.split("all").keys, images.source.reading)
        column = self.condition
        if column in {*split.columns} - {*joined.columns} and len(joined) == len(split):
            joined = joined.with_columns({column: split.columns[column]})
        return self.align_condition(joined)

    @property
    def condition(self) -> str | None:
        """Label column that the networks depend on; None without one."""
        return self.metadata["modifiers"].get("cond", {}).get("cond")

    def align_condition(self, split: Split) -> Split:
        """Number the classes of the condition as in the training; others have no label."""
        column = self.condition or ""
        names, own = self.metadata["images"]["labels"].get(column), split.classes.get(column)
        if not names or not own or own == names:
            return split
        codes = torch.tensor([names.index(name) if name in names else -1 for name in [*own, ""]])
        aligned = split.with_columns({column: codes[split.columns[column]]})
        return replace(aligned, classes={**split.classes, column: names})

    def membership(self, split: Split, data: Any = None) -> list[str]:
        """Name the run's split of each image: train, validation or test; else new."""
        images = self.images(data)
        if not self.is_training_data(images):
            return ["new"] * len(split)
        return images.find_split_names(split)

    def copy_model(self, path: Path) -> None:
        """Copy the files that `model` reads."""
        path.mkdir()
        for name in ("run.json", "weights.safetensors"):
            copy_file(self.path / name, path / name)


@lru_cache
def note_missing_checksums(path: Path) -> None:
    """Print a note, once, that damage to a run cannot be noticed."""
    print_note(
        f"{path} has no checksums of its files, so damage to them cannot be noticed: an earlier "
        "version of latentia made it, or run.json was edited."
    )


def find_unused_path(path: Path, suffix: str = "", taken: Collection[Path] = ()) -> Path:
    """Return the path with the suffix, and with the first free number if it exists or is taken."""
    candidate, number = path.with_name(f"{path.name}{suffix}"), 2
    while candidate.exists() or candidate in taken:
        candidate, number = path.with_name(f"{path.name}-{number}{suffix}"), number + 1
    return candidate


def resolve_unnamed_path(path: Path | str) -> Path:
    """Expand ~, and make a path absolute that ends in no name, as ".", or looks like an option.

    Raises: Error if it holds bytes that are not UTF-8, with which safetensors opens no file, or NUL
    """
    refuse_nul(path)
    path = Path(path).expanduser()
    if any("\ud800" <= letter <= "\udfff" for letter in str(path)):
        text = str(path).encode("utf-8", "backslashreplace").decode()
        advice = "give a folder of another name, or set PYTHONUTF8=1 in a locale without UTF-8"
        raise Error(f"{text} holds bytes that are not UTF-8; {advice}.")
    is_odd = path.name in ("", "..") or str(path).startswith(("-", "hub:"))
    return path.resolve() if is_odd else path
