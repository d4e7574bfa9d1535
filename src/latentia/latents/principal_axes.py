"""Principal axes of the aggregate posterior: coordinates without correlation."""

import math
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from latentia.core.contract import HasDecoder
from latentia.core.errors import Error
from latentia.core.progress import print_note
from latentia.core.tensors import ImageTensor
from latentia.latents.encoding import LatentTable

Axes = Literal["own", "principal"]  # of the coordinates: the model's dimensions, or these
CLOSED_FORM_NOTE = (
    "The principal axes of this run are its own dimensions: they begin as principal components, "
    "scaled to nearly equal variances, which define no other axes."
)


class PrincipalAxes:
    """Coordinates of a model's latents along the principal axes of its aggregate posterior.

    The first axis has the largest variance of posterior means. Axis and centre come from `table`,
    the latents of the training images. An axis points to where its largest component is positive.
    The dimensions of a model that starts from principal components are taken as they are.
    """

    def __init__(self, model: HasDecoder, table: LatentTable):
        self.model, dims = model, math.prod(model.latent_shape)
        self.latent_shape = (dims,)
        self.is_own = getattr(model, "starts_fitted", False)
        if self.is_own:
            self.axes, self.centre = torch.eye(dims), torch.zeros(dims)
            return
        mean = table.mean.astype(np.float64)
        _, axes = np.linalg.eigh(np.atleast_2d(np.cov(mean.T)))
        axes = axes[:, ::-1]
        largest = np.take_along_axis(axes, np.abs(axes).argmax(0)[None], 0)
        self.axes = torch.from_numpy((axes * np.sign(largest)).astype(np.float32))
        self.centre = torch.from_numpy(mean.mean(0).astype(np.float32))

    def rotate(self, mean: Tensor, sd: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return means and standard deviations (b, d) along the axes."""
        axes = self.axes.to(mean)
        rotated = (mean.flatten(1) - self.centre.to(mean)) @ axes
        return rotated, None if sd is None else (sd.flatten(1).square() @ axes.square()).sqrt()

    def rotate_table(self, table: LatentTable) -> LatentTable:
        """Return the latents of a table along the axes; rotated ones have no rates."""
        if self.is_own:
            return table
        sd = None if table.sd is None else torch.from_numpy(table.sd)
        rotated, sd = self.rotate(torch.from_numpy(table.mean), sd)
        return LatentTable(rotated.numpy(), None if sd is None else sd.numpy(), None)

    def decode(self, z: Tensor) -> ImageTensor:
        flat = z @ self.axes.to(z).T + self.centre.to(z)
        return self.model.decode(flat.view(-1, *self.model.latent_shape))


def check_axes(axes: str) -> None:
    """Raises: Error if there are no such axes."""
    if axes not in get_args(Axes):
        raise Error(f"--axes is {axes!r}; it must be one of {', '.join(get_args(Axes))}.")


def find_principal_axes(model: HasDecoder, table: LatentTable) -> PrincipalAxes:
    """Return the principal axes, with a note where they are the model's own dimensions."""
    axes = PrincipalAxes(model, table)
    print_note(CLOSED_FORM_NOTE * axes.is_own)
    return axes
