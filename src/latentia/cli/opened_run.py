"""A run that a command has opened: its images, its model and the file to write."""

from collections.abc import Sequence
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from latentia.data import Split
from latentia.data.labels import SOURCE_LABELS, Labels, MissingPolicy
from latentia.report.grids import Encoders, check_suffix, save
from latentia.runs.image_names import resolve_image
from latentia.runs.open import open_run


class OpenedRun:
    """The run of a command's arguments; the suffix of `out` is checked before any work begins."""

    def __init__(self, args: SimpleNamespace, *suffixes: str):
        if args.out and suffixes:
            check_suffix(args.out, *suffixes)
        self.args = args
        self.folder = open_run(args.run).with_beta(args.beta)

    @cached_property
    def autoencoder(self) -> Any:
        return self.folder.autoencoder()

    def make_labels(self, missing: MissingPolicy) -> Labels:
        """Return the label table, with a policy for images that it lacks."""
        columns = self.args.label_cols
        return Labels(self.args.labels, columns.split(",") if columns else None, missing)

    def load_images(self, names: Sequence[str]) -> Tensor:
        """Return images (n, c, h, w) by file, key or row number."""
        source = self.args.split, self.args.data
        return torch.cat([resolve_image(self.folder, name, *source)[1] for name in names])

    def load_split(self, labels: Labels = SOURCE_LABELS) -> Split:
        return self.folder.split(self.args.split, self.args.data, labels=labels)

    def load_training_split(self) -> Split:
        """Return the training images; with other --data than the run's, all images."""
        return self.folder.split(None, self.args.data, default="train")

    def save(self, encoders: Encoders) -> None:
        """Write the file of the arguments and print its path."""
        print(save(self.args.out, encoders))
