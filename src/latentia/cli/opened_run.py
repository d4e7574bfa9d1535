"""A run that a command has opened: its images, its model and the file to write."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from latentia.cli.options import Inputs
from latentia.data import Split
from latentia.data.labels import SOURCE_LABELS, Labels, MissingPolicy
from latentia.report.grids import check_suffix, save
from latentia.report.latent_figures import render_figure
from latentia.runs.image_names import resolve_image
from latentia.runs.open import open_run

Encoders = dict[str, Callable[[], bytes]]  # content of a file, by suffix


class OpenedRun:
    """The run of a command's inputs; the suffix of its file is checked before any work begins."""

    def __init__(self, inputs: Inputs, *suffixes: str):
        if inputs.out and suffixes:
            check_suffix(inputs.out, *suffixes)
        self.inputs = inputs
        self.folder = open_run(inputs.run).with_beta(inputs.beta)

    @cached_property
    def autoencoder(self) -> Any:
        return self.folder.autoencoder()

    def make_labels(self, missing: MissingPolicy) -> Labels:
        """Return the label table of the inputs, with a policy for images that it lacks."""
        columns = self.inputs.label_cols
        return Labels(self.inputs.labels, columns.split(",") if columns else None, missing)

    def load_images(self, names: Sequence[str]) -> Tensor:
        """Return images (n, c, h, w) by file, key or row number."""
        source = self.inputs.split, self.inputs.data
        return torch.cat([resolve_image(self.folder, name, *source)[1] for name in names])

    def load_split(self, labels: Labels = SOURCE_LABELS) -> Split:
        return self.folder.split(self.inputs.split, self.inputs.data, labels=labels)

    def load_training_split(self) -> Split:
        """Return the training images; with other --data than the run's, all images."""
        return self.folder.split(None, self.inputs.data, default="train")

    def save(self, encoders: Encoders) -> None:
        """Write the file of the inputs and print its path."""
        print(save(self.inputs.out, encoders))


def make_encoders(figure: Figure) -> Encoders:
    return {f".{kind}": lambda kind=kind: render_figure(figure, kind) for kind in ("png", "svg")}
