"""A run that a command has opened: its images, its model and the file that is written."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from latentia.cli.options import Inputs
from latentia.data import Split
from latentia.report.grids import check_suffix, save
from latentia.report.latent_figures import render_figure
from latentia.runs.image_names import resolve_image
from latentia.runs.open import open_run


class OpenedRun:
    """The run of a command's inputs. Its file's suffix is checked before any work begins."""

    def __init__(self, inputs: Inputs, *suffixes: str):
        if inputs.out and suffixes:
            check_suffix(inputs.out, *suffixes)
        self.inputs = inputs
        self.folder = open_run(inputs.run).with_beta(inputs.beta)

    @cached_property
    def autoencoder(self) -> Any:
        """The model with an encoder."""
        return self.folder.autoencoder()

    def load_images(self, names: Sequence[str]) -> Tensor:
        """Images (n, c, h, w) by file, key or row number."""
        how = self.inputs.split, self.inputs.data
        return torch.cat([resolve_image(self.folder, name, *how)[1] for name in names])

    def load_split(self, **how: Any) -> Split:
        """The split of the inputs."""
        return self.folder.split(self.inputs.split, self.inputs.data, **how)

    def load_training_split(self) -> Split:
        """The training images; of other data than the run's, all."""
        return self.folder.split(None, self.inputs.data, default="train")

    def save(self, kinds: dict[str, Callable[[], bytes]]) -> None:
        """Write the file of the inputs and print its path."""
        print(save(self.inputs.out, kinds))


def render_kinds(figure: Figure) -> dict[str, Callable[[], bytes]]:
    """Content of a .png and of a .svg file of a figure."""
    return {f".{kind}": lambda kind=kind: render_figure(figure, kind) for kind in ("png", "svg")}
