"""A run that a command has opened: its images, its model and the file that is written."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from latentia.cli.options import Inputs
from latentia.data import Split
from latentia.report.grids import ending, put
from latentia.report.latent_figures import rendered
from latentia.runs.image_names import resolve_image
from latentia.runs.open import open_run


class OpenedRun:
    """The run of a command's inputs. Its file's suffix is checked before any work begins."""

    def __init__(self, inputs: Inputs, *suffixes: str):
        if inputs.out and suffixes:
            ending(inputs.out, *suffixes)
        self.inputs = inputs
        self.run = open_run(inputs.run).with_beta(inputs.beta)

    @cached_property
    def coder(self) -> Any:
        """The model with an encoder."""
        return self.run.autoencoder()

    def image(self, name: str) -> Tensor:
        """One image (1, c, h, w)."""
        return resolve_image(self.run, name, self.inputs.split, self.inputs.data)[1]

    def stack_images(self, names: Sequence[str]) -> Tensor:
        return torch.cat([self.image(name) for name in names])

    def split(self, **how: Any) -> Split:
        """The split of the inputs."""
        return self.run.split(self.inputs.split, self.inputs.data, **how)

    def training_split(self) -> Split:
        """The training images; of other data than the run's, all."""
        return self.run.split(None, self.inputs.data, default="train")

    def save(self, kinds: dict[str, Callable[[], bytes]]) -> None:
        """Write the file of the inputs and print its path."""
        print(put(self.inputs.out, kinds))


def render_kinds(figure: Figure) -> dict[str, Callable[[], bytes]]:
    """Content of a .png and of a .svg file of a figure."""
    return {f".{kind}": lambda kind=kind: rendered(figure, kind) for kind in ("png", "svg")}
